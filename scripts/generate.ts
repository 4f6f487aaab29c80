/**
 * `npm run generate` writes what is generated and committed; `npm run generate -- --check` only compares, and exits 1
 * if the committed files are not what their sources say.
 */
import { parseArgs } from 'node:util';
import { type Artifact, drift, readTree, writeTree } from './generate/artifact.ts';
import { openapi } from './generate/openapi.ts';
import { prismaClient } from './generate/prisma.ts';

const artifacts: readonly Artifact[] = [prismaClient, openapi];

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });

for (const artifact of artifacts) {
  const tree = await artifact.render();
  if (!values.check) {
    await writeTree(artifact, tree);
    continue;
  }
  const changed = drift(tree, await readTree(artifact));
  if (changed.length === 0) continue;
  console.error(`${artifact.name} is out of date, run \`npm run generate\`: ${changed.join(', ')}`);
  process.exitCode = 1;
}
