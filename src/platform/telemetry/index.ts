export { fastifyTelemetry } from './fastify.ts';
export {
  createInstruments,
  type DecisionOutcome,
  type Instruments,
  type RetryReason,
  type WaitOutcome,
} from './instruments.ts';
export { disabledTelemetry, startTelemetry, type Telemetry } from './telemetry.ts';
