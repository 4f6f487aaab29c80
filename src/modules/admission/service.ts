import type { Clock } from '../../platform/clock.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { invalid } from '../../platform/errors.ts';
import { type Principal, systemPrincipal } from '../../platform/principal.ts';
import type { SettledWatch } from '../../platform/settled-watch.ts';
import { type ActionName, type Subject } from '../governance/index.ts';
import {
  type Conflict,
  compileFairly,
  DEFAULT_TTL_SECONDS,
  type HoldHistory,
  type LeaseView,
  parseClaims,
  type Spoken,
} from '../leases/index.ts';
import type { RepoService } from '../loops/index.ts';
import type { Context, ContextService } from './context.ts';
import type { HotPath } from './hot/hot-path.ts';
import type { ShownRule } from './hot/judgement.ts';
import type { AskOperation, HotAnswer, Part } from './hot/operation.ts';

/** What a lease that comes with an admission should be; null: none. */
export interface LeaseWish {
  readonly mode: 'exclusive' | 'shared';
  readonly ttlSeconds: number;
}

export const DEFAULT_WISH: LeaseWish = { mode: 'exclusive', ttlSeconds: DEFAULT_TTL_SECONDS };

/** "May I do this, now?" Several parts are one request: the strictest decides, and one lease covers the paths of all. */
export interface AdmissionRequest extends Spoken {
  readonly runId: string;
  readonly repo: string;
  /** What it is mainly about, as the log names it. */
  readonly action: ActionName;
  readonly parts: readonly Part[];
  readonly purpose: string | null;
  readonly contentDigest: string | null;
  readonly lease: LeaseWish | null;
  /** Named things that the lease holds beside the paths. */
  readonly resources?: readonly string[];
  /** How long to queue for what others hold; none if left out. */
  readonly waitMs?: number;
}

export interface Admission {
  readonly outcome: 'allow' | 'deny' | 'require_approval' | 'wait';
  readonly decision: {
    id: string | null;
    outcome: string;
    rules: ShownRule[];
    policyVersion: number | null;
    ungoverned?: boolean;
    approvalId?: string;
  };
  readonly lease?: LeaseView;
  readonly conflicts?: Conflict[];
  /** Whether more than these is in the way. */
  readonly moreConflicts?: boolean;
  readonly free?: string[];
  readonly context: Context;
  /** Set when this answer was given before, to the same Idempotency-Key. */
  readonly replayed?: boolean;
}

export interface DecisionRequest {
  readonly action: ActionName;
  readonly subjects: readonly Subject[];
  readonly repo: string | null;
  readonly runId: string | null;
}

/** Of a request that is not held open. */
const NEVER = new AbortController().signal;

/** Paths are looked at one by one; a request names each once. */
const PATH_ACTIONS = new Set<ActionName>(['path.edit', 'path.delete']);

interface AdmissionDeps {
  readonly hot: HotPath;
  readonly repos: RepoService;
  readonly context: ContextService;
  readonly watch: SettledWatch;
  readonly history: HoldHistory;
  readonly clock: Clock;
}

/** The one call before an action, and the bare decision: both are decided in the org's batch. */
export class AdmissionService {
  readonly #hot: HotPath;
  readonly #repos: RepoService;
  readonly #context: ContextService;

  readonly #watch: SettledWatch;
  readonly #history: HoldHistory;
  readonly #clock: Clock;

  constructor({ hot, repos, context, watch, history, clock }: AdmissionDeps) {
    this.#hot = hot;
    this.#repos = repos;
    this.#context = context;
    this.#watch = watch;
    this.#history = history;
    this.#clock = clock;
    hot.onLeases((changes) => context.apply(changes));
  }

  /**
   * Guardrails, decision and lease, all or nothing, in one durable commit. `wait`: the policies allow it, another run
   * holds a path; nothing was kept, ask again. With `waitMs` it queues that long first, and gives up its place then.
   * @throws Problem 404, 403 `not_your_run`, 409 `run_finished`, `lease_deadlock`, `lease_wait_on_self`, 422 for a path
   */
  async admit(
    principal: Principal,
    request: AdmissionRequest,
    idempotent: Idempotent | null,
    ended: AbortSignal = NEVER,
  ): Promise<Admission> {
    const paths = pathsOf(request.parts);
    const patterns = request.parts.flatMap((part) => part.patterns ?? []);
    const resources = request.resources ?? [];
    await compileFairly(patterns);
    const isEmpty = paths.length + patterns.length + resources.length === 0;
    const matchers = isEmpty ? [] : parseClaims(paths, patterns, resources);
    const repo = await this.#repos.resolve(principal, request.repo, request);
    const wanted =
      request.lease === null || matchers.length === 0 ? null : { ...request.lease, matchers, purpose: request.purpose };
    const waitMs = request.waitMs ?? 0;
    const operation: AskOperation = {
      kind: 'ask',
      principal,
      idempotent,
      runId: request.runId,
      epoch: request.epoch,
      repo,
      action: request.action,
      parts: request.parts.map((part) => inRepo(part, repo.name)),
      contentDigest: request.contentDigest,
      purpose: request.purpose,
      wanted,
      waits: waitMs > 0,
      ticketId: null,
    };
    const answer = await this.#queueing(operation, waitMs, ended);
    const conflicts = answer.body['conflicts'] as Conflict[] | undefined;
    if (conflicts !== undefined) await this.#history.judge(principal.orgId, repo.id, conflicts, this.#clock.now());
    const context = await this.#context.near(principal, repo, request.runId, paths);
    return {
      ...(answer.body as unknown as Omit<Admission, 'context'>),
      context,
      ...(answer.replayed === true ? { replayed: true } : {}),
    };
  }

  async #queueing(operation: AskOperation, waitMs: number, ended: AbortSignal): Promise<HotAnswer> {
    const untilMs = this.#clock.monotonicMs() + waitMs;
    const answer = await this.#hot.submit(operation);
    const { ticketId } = answer.body as { ticketId?: string };
    if (ticketId === undefined) return answer;
    try {
      return await this.#inPlace(operation, ticketId, answer, { untilMs, ended });
    } catch (error) {
      // Nobody will ask with that place again, and whoever stands behind it is not to wait for that.
      await this.#giveUp(systemPrincipal(operation.principal.orgId), ticketId, 'abandoned');
      throw error;
    }
  }

  /** Asks again each time the way seems free, with the place that the first ask took, until there is another answer. */
  async #inPlace(
    operation: AskOperation,
    ticketId: string,
    first: HotAnswer,
    { untilMs, ended }: { readonly untilMs: number; readonly ended: AbortSignal },
  ): Promise<HotAnswer> {
    for (let answer = first; ; ) {
      const { ticketId: place, ...body } = answer.body as { ticketId?: string };
      if (place === undefined) return answer;
      const leftMs = untilMs - this.#clock.monotonicMs();
      const isOver = leftMs <= 0;
      if (isOver || ended.aborted || !(await this.#hasWaited(operation.principal.orgId, place, leftMs, ended))) {
        await this.#giveUp(operation.principal, place, isOver ? 'timed_out' : 'abandoned');
        return { ...answer, body };
      }
      answer = await this.#hot.submit({ ...operation, ticketId: place });
    }
  }

  /** False where so many requests are held open already that this one cannot be. */
  async #hasWaited(orgId: string, ticketId: string, waitMs: number, ended: AbortSignal): Promise<boolean> {
    return this.#watch.settled(orgId, ticketId, waitMs, ended).then(
      () => true,
      () => false,
    );
  }

  /** Unless another request of the same run has joined it, and waits on. */
  async #giveUp(principal: Principal, ticketId: string, reason: 'timed_out' | 'abandoned'): Promise<void> {
    if (this.#watch.isKept(principal.orgId, ticketId)) return;
    await this.#hot
      .submit({ kind: 'cancel', principal, idempotent: null, ticketId, spares: 'leases', reason })
      // Another ask of the same run that joined it may have settled it; else it runs out by itself.
      .catch(() => undefined);
  }

  /** A recorded answer without a lease. @throws Problem as `admit` */
  async decide(
    principal: Principal,
    request: DecisionRequest,
    idempotent: Idempotent | null,
  ): Promise<HotAnswer['body']> {
    const { runId } = request;
    const speaker = runId === null ? null : { runId };
    const repo = request.repo === null ? null : await this.#repos.resolve(principal, request.repo, speaker);
    const operation: AskOperation = {
      kind: 'ask',
      principal,
      idempotent,
      runId,
      repo,
      action: request.action,
      parts: [{ action: request.action, subjects: request.subjects }],
      contentDigest: null,
      purpose: null,
      wanted: null,
      waits: false,
      ticketId: null,
    };
    const { body } = await this.#hot.submit(operation);
    return body['decision'] as HotAnswer['body'];
  }
}

/** The parts of a plain admission: one subject a path for actions on paths, else one subject with all there is. */
export function partsOf(
  action: ActionName,
  fields: Readonly<Record<string, unknown>>,
  paths: readonly string[],
): Part[] {
  if (!PATH_ACTIONS.has(action)) return [{ action, subjects: [fields] }];
  if (paths.length === 0) throw invalid('paths_required', `${action} needs at least one path.`);
  return [{ action, subjects: [...new Set(paths)].map((path) => ({ path })) }];
}

/** The repo is the one that is admitted to, whatever a subject says. */
function inRepo(part: Part, repo: string): Part {
  return { ...part, subjects: part.subjects.map((subject) => ({ ...subject, repo })) };
}

function pathsOf(parts: readonly Part[]): string[] {
  const paths = parts.flatMap(({ action, subjects }) =>
    PATH_ACTIONS.has(action) ? subjects.map((subject) => subject['path']) : [],
  );
  return [...new Set(paths.filter((path): path is string => typeof path === 'string'))];
}
