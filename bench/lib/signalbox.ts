/** The server under measurement, whole: authentication, validation, row-level security, events, durable commits. */
import { buildApp } from '../../src/app.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createPools } from '../../src/platform/database/pools.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { startTelemetry } from '../../src/platform/telemetry/index.ts';

const [url, rootKey] = process.argv.slice(2);
const logger = createLogger({ level: 'warn' }, process.stderr);
const telemetry = startTelemetry({
  serviceName: 'signalbox',
  serviceVersion: 'bench',
  instanceId: 'bench',
  env: process.env,
});
const pools = createPools(url!, (error) => logger.error(error));
const server = await buildApp({ pools, logger, clock: systemClock, telemetry, version: 'bench', rootKey });
await server.start();
await server.app.listen({ port: 0, host: '127.0.0.1' });
process.stdout.write(`${JSON.stringify({ port: (server.app.server.address() as { port: number }).port })}\n`);
process.on('SIGTERM', () => process.exit(0));
