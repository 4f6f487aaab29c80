import { z } from 'zod';
import { repoName, text, time, timeInput, uuid } from '../../platform/http/schemas.ts';

/** `exact`: the two are tied by a key that is on record. `inferred`: by order, time or path; likely, not certain. */
export const EDGES = ['exact', 'inferred'] as const;
export type Edge = (typeof EDGES)[number];

export const DEPLOY_BASES = ['commits', 'between', 'since_last', 'first'] as const;
export type DeployBasis = (typeof DEPLOY_BASES)[number];

const NAME_LENGTH = 200;
const MAX_COMMITS = 2000;
const MAX_TRACES = 50;
const MAX_FRAMES = 200;
const MAX_PATHS = 200;
const PATH_LENGTH = 4096;

/** The name of a git object, in either object format. */
const objectName = () =>
  z
    .string()
    .regex(/^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/, { error: 'expected the 40 or 64 hex digits of a git commit' })
    .toLowerCase();

export const deployBody = z.strictObject({
  service: text(NAME_LENGTH),
  environment: text(NAME_LENGTH),
  repo: repoName(),
  commit: objectName().describe('What is out now.'),
  previousCommit: objectName().nullish().describe('What was out before.'),
  commits: z
    .array(objectName())
    .max(MAX_COMMITS)
    .nullish()
    .describe('What the deploy brought, as `git rev-list previous..commit` says. Empty: nothing new.'),
  at: timeInput().nullish().describe('Default: now.'),
});
export type DeployBody = z.output<typeof deployBody>;

export const deployView = z
  .object({
    id: uuid(),
    service: z.string(),
    environment: z.string(),
    repo: z.string(),
    commit: z.string(),
    previousCommit: z.string().nullable(),
    at: time(),
    recordedAt: time(),
    recordedBy: uuid(),
    basis: z
      .enum(DEPLOY_BASES)
      .describe(
        'How its changes were found: named in `commits`; recorded between the two commits; since the last deploy of this service and environment; or, there being none, in the 30 days before.',
      ),
    rollback: z.boolean().describe('It went back behind what was out already, and brought nothing.'),
    changeCount: z.int(),
    changesOmitted: z.int().describe('Older changes beyond the 2000 that are kept.'),
    unknownCommits: z.array(z.string()).describe('Named, but no change is on record for them.'),
  })
  .meta({ id: 'Deploy' });
export type DeployView = z.output<typeof deployView>;

export const wholeDeployView = deployView
  .extend({
    changes: z.array(z.object({ id: uuid(), commit: z.string(), intent: z.string().nullable(), edge: z.enum(EDGES) })),
  })
  .meta({ id: 'WholeDeploy' });
export type WholeDeployView = z.output<typeof wholeDeployView>;

const traceId = () =>
  z
    .string()
    .regex(/^(?!0{32}$)[0-9a-fA-F]{32}$/, { error: 'expected the 32 hex digits of a trace id' })
    .toLowerCase();

const framePath = () =>
  text(PATH_LENGTH).describe('As the stack trace has it: absolute and prefixed paths are matched by their end.');

const evidenceBody = z.strictObject({
  traceIds: z.array(traceId()).max(MAX_TRACES).default([]),
  frames: z
    .array(
      z.strictObject({
        path: framePath(),
        line: z.int().min(1).max(100_000_000).nullish(),
        commit: objectName()
          .nullish()
          .describe('The commit that wrote this line, as `git blame` on the deployed commit says.'),
      }),
    )
    .max(MAX_FRAMES)
    .default([]),
  paths: z.array(framePath()).max(MAX_PATHS).default([]).describe('Files that are in it, without a line.'),
});

export const evidenceView = z.object({
  traceIds: z.array(z.string()),
  frames: z.array(z.object({ path: z.string(), line: z.int().nullable(), commit: z.string().nullable() })),
  paths: z.array(z.string()),
});
export type Evidence = z.output<typeof evidenceView>;

export const incidentBody = z.strictObject({
  title: text(500),
  service: text(NAME_LENGTH).nullish(),
  environment: text(NAME_LENGTH).nullish(),
  startedAt: timeInput().describe(
    'When it began to go wrong, as well as is known. Only what was out by then is suspected.',
  ),
  evidence: evidenceBody
    .default({ traceIds: [], frames: [], paths: [] })
    .describe('At least one trace, frame or path.'),
});
export type IncidentBody = z.output<typeof incidentBody>;

export const incidentView = z
  .object({
    id: uuid(),
    title: z.string(),
    service: z.string().nullable(),
    environment: z.string().nullable(),
    startedAt: time(),
    evidence: evidenceView,
    openedAt: time(),
    openedBy: uuid(),
  })
  .meta({ id: 'Incident' });
export type IncidentView = z.output<typeof incidentView>;
