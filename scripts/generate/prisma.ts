import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Artifact, type FileTree, readTree } from './artifact.ts';

// The generator's ESM build imports names that Node does not find in the CommonJS build of @prisma/internals.
const require = createRequire(import.meta.url);
const { PrismaClientTsGenerator } =
  require('@prisma/client-generator-ts') as typeof import('@prisma/client-generator-ts');
const { getGenerator, loadSchemaContext } = require('@prisma/internals') as typeof import('@prisma/internals');

const root = path.resolve(import.meta.dirname, '../..');

/**
 * The typed Prisma client of `prisma/schema.prisma`. The generator runs in this process, because the `prisma` command
 * would fetch an engine from the network that neither generating nor running the client needs.
 */
export const prismaClient: Artifact = {
  name: 'Prisma client',
  directory: path.join(root, 'src/generated/prisma'),
  render: () => renderPrismaClient(path.join(root, 'prisma/schema.prisma')),
};

async function renderPrismaClient(schemaPath: string): Promise<FileTree> {
  const output = await mkdtemp(path.join(tmpdir(), 'signalbox-prisma-'));
  try {
    const schemaContext = await loadSchemaContext({
      schemaPath: { cliProvidedPath: schemaPath },
      printLoadMessage: false,
    });
    const [config] = schemaContext.generators;
    if (config === undefined) throw new Error(`${schemaPath} declares no generator`);
    const generator = await getGenerator({
      schemaContext,
      registry: { 'prisma-client': { type: 'in-process', generator: new PrismaClientTsGenerator() } },
      overrideGenerators: [{ ...config, output: { value: output, fromEnvVar: null } }],
      skipDownload: true,
      cliCommand: 'generate',
    });
    await generator.generate();
    generator.stop();
    return withoutMachinePaths(await readTree({ directory: output }), output);
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}

/** A path of this machine in a committed file would be a drift on every other one: better to fail here. */
function withoutMachinePaths(tree: FileTree, output: string): FileTree {
  for (const [file, content] of tree) {
    for (const machinePath of [output, root]) {
      if (content.includes(machinePath)) throw new Error(`generated ${file} names the path ${machinePath}`);
    }
  }
  return tree;
}
