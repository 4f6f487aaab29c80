import type { Policy } from '../../generated/prisma/client.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import type { DocumentIssue } from './policy/index.ts';
import type { DocumentFormat } from './policy/source.ts';
import { type PolicySource, readPolicy } from './policy-source.ts';
import {
  type PolicySummary,
  type PolicyVersionSummary,
  type PolicyVersionView,
  type PolicyView,
  viewPolicy,
  viewPolicySummary,
  viewPolicyVersion,
  viewVersionSummary,
} from './policy-views.ts';
import { publishVersion, teamIssues } from './publish.ts';

type PageQuery = { limit: number; cursor?: string | undefined };
type Published = PolicyVersionView & { warnings: DocumentIssue[] };
type Expected = { readonly expectedVersion?: number | undefined };

/** Policies: a draft each, and versions that never change once they are published. */
export class PolicyService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Replaces the draft; what is in force stays. @throws Problem 422 `policy_invalid` with one entry per mistake */
  async putDraft(
    principal: Principal,
    name: string,
    source: PolicySource,
  ): Promise<PolicyView & { warnings: DocumentIssue[] }> {
    const read = readPolicy(name, source);
    return this.#db.write(principal, async (tx) => {
      await tx.db.$executeRaw`
        INSERT INTO policy (org_id, name, draft_source, draft_format, draft_updated_at, created_at)
        VALUES (${tx.orgId}::uuid, ${name}, ${source.text}, ${source.format}, ${tx.now}, ${tx.now})
        ON CONFLICT (org_id, name) DO UPDATE SET draft_source = EXCLUDED.draft_source,
          draft_format = EXCLUDED.draft_format, draft_updated_at = EXCLUDED.draft_updated_at`;
      const data = { format: source.format, rules: read.document.rules.length };
      tx.emit({ kind: 'policy.draft_saved', subject: { kind: 'policy', id: name }, data });
      // A team may still be made before the publish, which refuses the document otherwise.
      const teams = await teamIssues(tx, read);
      const warnings = [...read.warnings, ...teams.missing, ...teams.small];
      return { ...(await wholePolicy(tx, name)), warnings };
    });
  }

  /**
   * Puts the draft in force as the next version. After this has returned, nothing is decided under the old one.
   * @param expected the published version that the caller saw, 0 for none
   * @throws Problem 404; 409 `version_conflict` (with `currentVersion`), `no_draft`; those of `publishVersion`
   */
  async publish(
    principal: Principal,
    name: string,
    expected: Expected,
    idempotent: Idempotent | null,
  ): Promise<Answer<Published>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      const policy = await lockPolicy(tx, name);
      demandVersion(policy, expected);
      if (policy.draftSource === null) throw conflict('no_draft', 'This policy has no draft to publish.');
      const source = { text: policy.draftSource, format: policy.draftFormat as DocumentFormat };
      return { status: 200, body: await published(tx, { policy, source, rollbackOf: null }) };
    });
  }

  /** Publishes an old version's document again, as a new version. @throws as `publish`; 404 for a version there is not */
  async rollback(
    principal: Principal,
    name: string,
    { toVersion, ...expected }: Expected & { readonly toVersion: number },
    idempotent: Idempotent | null,
  ): Promise<Answer<Published>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      const policy = await lockPolicy(tx, name);
      demandVersion(policy, expected);
      const old = await versionOf(tx, name, toVersion);
      const source = { text: old.source, format: old.format as DocumentFormat };
      return { status: 200, body: await published(tx, { policy, source, rollbackOf: toVersion }) };
    });
  }

  async list(principal: Principal, query: PageQuery): Promise<Page<PolicySummary>> {
    const after = decodeCursor(query.cursor, 'text');
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.policy.findMany({
        where: { orgId: tx.orgId, ...(after === null ? {} : { name: { gt: String(after[0]) } }) },
        omit: { draftSource: true, draftFormat: true },
        orderBy: { name: 'asc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewPolicySummary, (row) => [row.name]);
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, name: string): Promise<PolicyView> {
    return this.#db.read(principal, (tx) => wholePolicy(tx, name));
  }

  /** Newest first. @throws Problem 404 */
  async versions(principal: Principal, name: string, query: PageQuery): Promise<Page<PolicyVersionSummary>> {
    const after = decodeCursor(query.cursor, 'int');
    return this.#db.read(principal, async (tx) => {
      await wholePolicy(tx, name);
      const rows = await tx.db.policyVersion.findMany({
        where: { orgId: tx.orgId, name, ...(after === null ? {} : { version: { lt: Number(after[0]) } }) },
        omit: { source: true, document: true },
        orderBy: { version: 'desc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewVersionSummary, (row) => [row.version]);
    });
  }

  /** @throws Problem 404 */
  async version(principal: Principal, name: string, version: number): Promise<PolicyVersionView> {
    return this.#db.read(principal, async (tx) => viewPolicyVersion(await versionOf(tx, name, version)));
  }
}

type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

async function wholePolicy(tx: ReadTx, name: string): Promise<PolicyView> {
  const policy = await tx.db.policy.findUnique({ where: { orgId_name: { orgId: tx.orgId, name } } });
  if (policy === null) throw notFound('policy');
  const { publishedVersion } = policy;
  return viewPolicy(policy, publishedVersion === null ? null : await versionOf(tx, name, publishedVersion));
}

async function versionOf(tx: ReadTx, name: string, version: number) {
  const where = { orgId_name_version: { orgId: tx.orgId, name, version } };
  const row = await tx.db.policyVersion.findUnique({ where });
  if (row === null) throw notFound('policy version');
  return row;
}

/** One publish of a policy at a time: the second sees the version of the first. */
async function lockPolicy(tx: OrgTx, name: string): Promise<Policy> {
  await tx.db.$queryRaw`SELECT name FROM policy WHERE org_id = ${tx.orgId}::uuid AND name = ${name} FOR UPDATE`;
  const policy = await tx.db.policy.findUnique({ where: { orgId_name: { orgId: tx.orgId, name } } });
  if (policy === null) throw notFound('policy');
  return policy;
}

function demandVersion(policy: Policy, { expectedVersion }: Expected): void {
  const currentVersion = policy.publishedVersion ?? 0;
  if (expectedVersion === undefined || expectedVersion === currentVersion) return;
  const detail = `Version ${currentVersion} of ${policy.name} is published, not ${expectedVersion}.`;
  throw conflict('version_conflict', detail, { currentVersion });
}

async function published(tx: OrgTx, what: Parameters<typeof publishVersion>[1]): Promise<Published> {
  const { version, warnings } = await publishVersion(tx, what);
  return { ...viewPolicyVersion(version), warnings: [...warnings] };
}
