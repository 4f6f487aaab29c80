import { readFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { buildApp } from '../../src/app.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createPools } from '../../src/platform/database/pools.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { disabledTelemetry } from '../../src/platform/telemetry/index.ts';
import type { Artifact } from './artifact.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** The contract, as the zod schemas of the routes have it. */
export const openapi: Artifact = {
  name: 'OpenAPI document',
  directory: root,
  files: ['openapi.yaml'],
  render: async () => new Map([['openapi.yaml', asYaml(await openapiDocument())]]),
};

/**
 * The document of the whole app. The app is built and made ready, which also holds policies/roles.yaml against its
 * operations, but never started: nothing connects to a database.
 */
export async function openapiDocument(): Promise<object> {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  const pools = createPools('postgres://nobody@127.0.0.1:1/none', () => undefined);
  const signalbox = await buildApp({
    pools,
    logger: createLogger({ level: 'silent' }),
    clock: systemClock,
    telemetry: disabledTelemetry(),
    version,
    rootKey: undefined,
  });
  try {
    await signalbox.app.ready();
    return signalbox.app.swagger();
  } finally {
    await signalbox.close();
    await pools.end();
  }
}

/** Without anchors and with one quoting style, so that a change of one schema changes its own lines alone. */
function asYaml(document: object): string {
  // Through JSON, as a client gets it: what is undefined is not there.
  const plain: unknown = JSON.parse(JSON.stringify(document));
  const yaml = stringify(plain, { aliasDuplicateObjects: false, lineWidth: 0 });
  return `# Generated from the schemas of the routes by \`npm run generate\`: change those.\n${yaml}`;
}
