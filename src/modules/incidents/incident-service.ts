import type { Incident } from '../../generated/prisma/client.ts';
import type { Answer, Database } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { invalid, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { newId } from '../../platform/ids.ts';
import { type Principal, principalId } from '../../platform/principal.ts';
import { notInFuture } from './moment.ts';
import { readEvidencePath } from './ranking/evidence-path.ts';
import type { Evidence, IncidentBody, IncidentView } from './views.ts';

export interface IncidentQuery {
  readonly service?: string | undefined;
  readonly environment?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** What broke, since when, and what is known of where. */
export class IncidentService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws Problem 422 `evidence_required`, `time_in_future`, `path_empty` */
  async open(principal: Principal, body: IncidentBody, idempotent: Idempotent | null): Promise<Answer<IncidentView>> {
    const evidence = readEvidence(body.evidence);
    return this.#db.create(principal, idempotent, async (tx) => {
      const incident = await tx.db.incident.create({
        data: {
          orgId: tx.orgId,
          id: newId(),
          title: body.title,
          service: body.service ?? null,
          environment: body.environment ?? null,
          startedAt: notInFuture('startedAt', body.startedAt, tx.now),
          evidence,
          openedAt: tx.now,
          openedBy: principalId(principal),
        },
      });
      const { id, title, service, environment, startedAt } = incident;
      tx.emit({
        kind: 'incident.opened',
        subject: { kind: 'incident', id },
        data: { title, service, environment, startedAt: startedAt.toISOString() },
      });
      return { status: 201, body: viewIncident(incident) };
    });
  }

  /** Newest first. @throws Problem 422 `cursor_invalid` */
  async list(principal: Principal, query: IncidentQuery): Promise<Page<IncidentView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.incident.findMany({
        where: {
          orgId: tx.orgId,
          ...(query.service === undefined ? {} : { service: query.service }),
          ...(query.environment === undefined ? {} : { environment: query.environment }),
          ...(after === null ? {} : { id: { lt: String(after[0]) } }),
        },
        orderBy: { id: 'desc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewIncident, (row) => [row.id]);
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<IncidentView> {
    return this.#db.read(principal, async (tx) => {
      const incident = await tx.db.incident.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
      if (incident === null) throw notFound('incident');
      return viewIncident(incident);
    });
  }
}

/** @throws Problem 422 `evidence_required`; `path_empty` for a path that names no file */
function readEvidence({ traceIds, frames, paths }: IncidentBody['evidence']): Evidence {
  if (traceIds.length + frames.length + paths.length === 0)
    throw invalid('evidence_required', 'An incident needs evidence: at least one trace id, stack frame or path.');
  const texts = [
    ...frames.map(({ path }, index) => ({ field: `frames[${index}].path`, path })),
    ...paths.map((path, index) => ({ field: `paths[${index}]`, path })),
  ];
  const empty = texts.find(({ path }) => readEvidencePath(path).segments.length === 0);
  if (empty !== undefined) throw invalid('path_empty', `body.evidence.${empty.field}: names no file or directory.`);
  return {
    traceIds: [...new Set(traceIds)],
    frames: frames.map(({ path, line, commit }) => ({ path, line: line ?? null, commit: commit ?? null })),
    paths: [...new Set(paths)],
  };
}

export function viewIncident(incident: Incident): IncidentView {
  return {
    id: incident.id,
    title: incident.title,
    service: incident.service,
    environment: incident.environment,
    startedAt: incident.startedAt.toISOString(),
    evidence: incident.evidence as Evidence,
    openedAt: incident.openedAt.toISOString(),
    openedBy: incident.openedBy,
  };
}
