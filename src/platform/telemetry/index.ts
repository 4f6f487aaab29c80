export { type FastifyTelemetryOptions, fastifyTelemetry } from './fastify.ts';
export {
  createInstruments,
  type DecisionOutcome,
  type Instruments,
  type PoolState,
  type RetryReason,
} from './instruments.ts';
export { disabledTelemetry, startTelemetry, type Telemetry, type TelemetrySettings } from './telemetry.ts';
