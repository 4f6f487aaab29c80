import { z } from 'zod';
import type { Policy, PolicyVersion } from '../../generated/prisma/client.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import type { PolicyDocument } from './policy/index.ts';
import type { DocumentFormat } from './policy/source.ts';

const format = z.enum(['yaml', 'json']);

const issueView = z.object({
  line: z.int().nullable(),
  column: z.int().nullable(),
  path: z.string(),
  reason: z.string(),
});

const warnings = z.array(issueView).describe('What is allowed and may not be meant.');

export const policySummaryView = z
  .object({
    name: z.string(),
    publishedVersion: z.int().nullable().describe('Null before the first publish.'),
    draftUpdatedAt: time().nullable(),
    createdAt: time(),
  })
  .meta({ id: 'PolicySummary' });

const versionFields = {
  name: z.string(),
  version: z.int().describe("The policy's own: 1, 2, 3 …"),
  policyVersion: z.int().describe("The org's policy version from which on this one is in force, as decisions name it."),
  format,
  publishedAt: time(),
  publishedBy: uuid().describe('A principal: a member, or a key bound to no member.'),
  rollbackOf: z.int().nullable().describe('The version whose document this one repeats.'),
};

export const policyVersionSummaryView = z.object(versionFields).meta({ id: 'PolicyVersionSummary' });

export const policyVersionView = z
  .object({ ...versionFields, source: z.string(), document: z.record(z.string(), z.unknown()) })
  .meta({ id: 'PolicyVersion' });

export const publishedView = policyVersionView.extend({ warnings }).meta({ id: 'PublishedPolicy' });

export const policyView = policySummaryView
  .extend({
    draft: z.object({ format, source: z.string(), updatedAt: time() }).nullable(),
    published: policyVersionView.nullable(),
  })
  .meta({ id: 'Policy' });

export const draftView = policyView.extend({ warnings }).meta({ id: 'PolicyDraft' });

export type PolicySummary = z.output<typeof policySummaryView>;
export type PolicyVersionSummary = z.output<typeof policyVersionSummaryView>;
export type PolicyVersionView = z.output<typeof policyVersionView>;
export type PolicyView = z.output<typeof policyView>;

export function viewPolicySummary(
  policy: Pick<Policy, 'name' | 'publishedVersion' | 'draftUpdatedAt' | 'createdAt'>,
): PolicySummary {
  return {
    name: policy.name,
    publishedVersion: policy.publishedVersion,
    draftUpdatedAt: policy.draftUpdatedAt?.toISOString() ?? null,
    createdAt: policy.createdAt.toISOString(),
  };
}

export function viewPolicy(policy: Policy, published: PolicyVersion | null): PolicyView {
  const { draftSource, draftFormat, draftUpdatedAt } = policy;
  const draft =
    draftSource === null || draftUpdatedAt === null
      ? null
      : { format: draftFormat as DocumentFormat, source: draftSource, updatedAt: draftUpdatedAt.toISOString() };
  return {
    ...viewPolicySummary(policy),
    draft,
    published: published === null ? null : viewPolicyVersion(published),
  };
}

export function viewVersionSummary(row: Omit<PolicyVersion, 'source' | 'document'>): PolicyVersionSummary {
  return {
    name: row.name,
    version: row.version,
    policyVersion: Number(row.orgVersion),
    format: row.format as DocumentFormat,
    publishedAt: row.publishedAt.toISOString(),
    publishedBy: row.publishedBy,
    rollbackOf: row.rollbackOf,
  };
}

export function viewPolicyVersion(row: PolicyVersion): PolicyVersionView {
  const document = row.document as unknown as PolicyDocument;
  return { ...viewVersionSummary(row), source: row.source, document: { ...document } };
}
