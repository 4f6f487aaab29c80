import type { Cast } from '../cast.ts';
import type { Stage } from '../world.ts';

/** Two frames are the shop's own and changed; the rest is what stack traces are full of. */
const FRAMES = [
  { path: 'node:internal/process/task_queues', line: 105 },
  { path: '/app/node_modules/fastify/lib/handle-request.js', line: 122 },
  { path: '/app/services/payments/rounding.ts', line: 1 },
  { path: '/app/services/payments/ledger.ts', line: 2 },
  { path: '/app/services/search/index.ts', line: 1 },
  { path: '/app/node_modules/pg-pool/index.js', line: 45 },
  { path: '/usr/lib/node_modules/npm/lib/cli.js', line: 12 },
];

/** Somebody is paged: what broke, and where the stack trace points. */
export async function openIncident(stage: Stage, { onCall }: Cast, deployedAt: string): Promise<string> {
  // Not before the deploy, whatever the clock of this machine says.
  const startedAt = new Date(Math.max(Date.now(), Date.parse(deployedAt))).toISOString();
  const report = {
    title: 'Ledger is out of balance',
    service: stage.names.service,
    environment: 'production',
    startedAt,
    evidence: { frames: FRAMES },
  };
  const { id } = await onCall.post('/incidents', report, { status: 201, body: { title: report.title } });
  await stage.seen('incident.opened', id);
  return id;
}
