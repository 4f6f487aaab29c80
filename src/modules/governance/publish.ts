import type { Policy, PolicyVersion, Prisma } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { invalid } from '../../platform/errors.ts';
import { principalId } from '../../platform/principal.ts';
import { compilePolicySet, type DocumentIssue, PolicyCompileError, type PublishedPolicy } from './policy/index.ts';
import { type PolicySource, policyInvalid, type ReadPolicy, readPolicy } from './policy-source.ts';

/** Every server compiles an org's whole set between two of its decisions, and other orgs wait meanwhile. */
const MAX_RULES_IN_FORCE = 5000;
const MAX_PUBLISHED_POLICIES = 200;

interface ToPublish {
  /** Its row is locked. */
  readonly policy: Policy;
  readonly source: PolicySource;
  readonly rollbackOf: number | null;
}

/**
 * Writes the next version of a policy and puts it in force. Everything is checked before anything is written: the
 * document, its approver teams, and that the org's whole new set compiles.
 * @throws Problem 422 `policy_invalid`, `too_many_policies`, `too_many_rules`
 */
export async function publishVersion(
  tx: OrgTx,
  { policy, source, rollbackOf }: ToPublish,
): Promise<{ version: PolicyVersion; warnings: readonly DocumentIssue[] }> {
  const { name } = policy;
  const read = readPolicy(name, source);
  const teams = await teamIssues(tx, read);
  if (teams.missing.length > 0) throw policyInvalid(teams.missing);
  const version = (policy.publishedVersion ?? 0) + 1;
  const orgVersion = await takeOrgVersion(tx, { name, version, document: read.document });
  const publishedAt = await tx.clock();
  const row = await tx.db.policyVersion.create({
    data: {
      orgId: tx.orgId,
      name,
      version,
      source: source.text,
      format: source.format,
      document: read.document as unknown as Prisma.InputJsonObject,
      publishedAt,
      publishedBy: principalId(tx.principal),
      orgVersion,
      rollbackOf,
    },
  });
  await tx.db.policy.update({
    where: { orgId_name: { orgId: tx.orgId, name } },
    data: { publishedVersion: version },
  });
  const data = { version, policyVersion: Number(orgVersion), rollbackOf, rules: read.document.rules.length };
  tx.bump('policyVersion');
  tx.emit({ kind: 'policy.published', subject: { kind: 'policy', id: name }, data }, publishedAt);
  return { version: row, warnings: [...read.warnings, ...teams.small] };
}

/**
 * Compiles the org's new set and returns the org's next policy version, with the head row locked: from here on no
 * decision of the org commits until this transaction ends. So the set is compiled before the lock is taken, and again
 * under it only when another publish came in between.
 */
async function takeOrgVersion(tx: OrgTx, candidate: PublishedPolicy): Promise<bigint> {
  const [seen] = await tx.db.$queryRaw<
    { version: bigint }[]
  >`SELECT policy_version AS version FROM org_head WHERE org_id = ${tx.orgId}::uuid`;
  demandCompiles([...(await publishedOthers(tx, candidate.name)), candidate]);
  const [locked] = await tx.db.$queryRaw<
    { version: bigint }[]
  >`SELECT policy_version AS version FROM org_head WHERE org_id = ${tx.orgId}::uuid FOR NO KEY UPDATE`;
  if (locked!.version !== seen!.version) demandCompiles([...(await publishedOthers(tx, candidate.name)), candidate]);
  return locked!.version + 1n;
}

async function publishedOthers(tx: OrgTx, name: string): Promise<PublishedPolicy[]> {
  return tx.db.$queryRaw<PublishedPolicy[]>`
    SELECT v.name, v.version, v.document FROM policy p
    JOIN policy_version v ON v.org_id = p.org_id AND v.name = p.name AND v.version = p.published_version
    WHERE p.org_id = ${tx.orgId}::uuid AND p.name <> ${name} ORDER BY v.name`;
}

function demandCompiles(policies: readonly PublishedPolicy[]): void {
  if (policies.length > MAX_PUBLISHED_POLICIES)
    throw invalid('too_many_policies', `An org has at most ${MAX_PUBLISHED_POLICIES} published policies.`);
  const rules = policies.reduce((sum, { document }) => sum + document.rules.length, 0);
  if (rules > MAX_RULES_IN_FORCE)
    throw invalid(
      'too_many_rules',
      `With this, ${rules} rules would be in force; an org has at most ${MAX_RULES_IN_FORCE}.`,
    );
  try {
    compilePolicySet(policies);
  } catch (error) {
    if (!(error instanceof PolicyCompileError)) throw error;
    throw policyInvalid([{ line: null, column: null, path: '', reason: error.message }]);
  }
}

interface TeamIssues {
  /** Teams that the org does not have: such a rule could never be met. */
  readonly missing: readonly DocumentIssue[];
  /** Teams with fewer members than the votes asked for: it cannot be met as things stand. */
  readonly small: readonly DocumentIssue[];
}

/** Holds a document's approver teams against the org's. */
export async function teamIssues(tx: Pick<OrgTx, 'db' | 'orgId'>, read: ReadPolicy): Promise<TeamIssues> {
  const named = read.document.rules.flatMap(({ approvers }, index) =>
    approvers?.team === undefined ? [] : [{ team: approvers.team, count: approvers.count, index }],
  );
  if (named.length === 0) return { missing: [], small: [] };
  const names = [...new Set(named.map(({ team }) => team))];
  const rows = await tx.db.$queryRaw<{ name: string; members: number }[]>`
    SELECT t.name, count(m.member_id)::int AS members FROM team t
    LEFT JOIN team_member m ON m.org_id = t.org_id AND m.team_id = t.id
    WHERE t.org_id = ${tx.orgId}::uuid AND t.name = ANY (${names}::text[]) GROUP BY t.name`;
  const sizes = new Map(rows.map((row) => [row.name, row.members]));
  const missing: DocumentIssue[] = [];
  const small: DocumentIssue[] = [];
  for (const { team, count, index } of named) {
    const members = sizes.get(team);
    const path = ['rules', index, 'approvers', 'team'];
    if (members === undefined) missing.push(read.issueAt(path, `no team "${team}" in this org`));
    else if (members < count)
      small.push(read.issueAt(path, `team "${team}" has ${members} members, and ${count} votes are asked of it`));
  }
  return { missing, small };
}
