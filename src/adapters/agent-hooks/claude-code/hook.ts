import { createHash } from 'node:crypto';
import type { OrgSettings } from '../../../modules/identity/index.ts';
import type { LeaseService } from '../../../modules/leases/index.ts';
import {
  beat,
  type RunService,
  type Session,
  type SessionRun,
  type SessionRuns,
} from '../../../modules/loops/index.ts';
import type { Database } from '../../../platform/database/database.ts';
import { Problem } from '../../../platform/errors.ts';
import { encodeCursor } from '../../../platform/http/page.ts';
import { type Principal, principalId } from '../../../platform/principal.ts';
import { haltAdvice, revokedAdvice, unexplainedAdvice } from '../advice.ts';
import type { AgentGate, Verdict } from '../agent-gate.ts';
import type { Patience } from '../patience.ts';
import { MAIN_AGENT, type RootBook } from '../root-book.ts';
import { SessionNotes } from '../session-notes.ts';
import { whereaboutsOf } from '../whereabouts.ts';
import { readRoot, spellings, stripAgentWorktree, type Whereabouts } from '../worktree.ts';
import { askOf } from './asks.ts';
import { type Answer, afterTool, beforeTool, NO_OPINION, onPrompt } from './dialect.ts';
import { type Common, type EventName, PAYLOADS, type StopCall, storable, type ToolCall } from './payload.ts';
import { descriptionOf, ownDirectoriesOf } from './tools.ts';

export interface HookDeps {
  readonly db: Database;
  readonly sessions: SessionRuns;
  readonly runs: RunService;
  readonly gate: AgentGate;
  readonly leases: LeaseService;
  readonly roots: RootBook;
  readonly settings: (principal: Principal) => Promise<OrgSettings>;
}

/** Who calls, and what the URL and the headers say. */
export interface Caller {
  readonly principal: Principal;
  readonly repo: string;
  readonly loopName: string | null;
  /** `x-signalbox-root` as Node reads it; empty if there is none. */
  readonly rootHeader: string;
  readonly approvalLink: (approvalId: string) => string;
  readonly patience: Patience;
  /** Aborts when the client has gone or the server drains. */
  readonly ended: AbortSignal;
}

const MOST_PATHS_TOLD = 50;
const MOST_TIMERS_TOLD = 20;
const SUMMARY_CHARACTERS = 4000;

/**
 * Claude Code's hook events as calls of the modules. A session is a run of the loop that the URL names; a subagent is
 * part of its session's run. Only events that ask, or that begin something, start a run: one that comes late must not
 * leave a run behind that nobody ends.
 */
export class ClaudeCodeHook {
  readonly #deps: HookDeps;
  readonly #notes = new SessionNotes();

  constructor(deps: HookDeps) {
    this.#deps = deps;
  }

  /** @throws Problem, ZodError for a payload that is not the event's */
  async answer(event: EventName, body: unknown, caller: Caller): Promise<Answer> {
    switch (event) {
      case 'SessionStart':
        return this.#started(PAYLOADS.SessionStart.parse(body), caller);
      case 'UserPromptSubmit': {
        const payload = PAYLOADS.UserPromptSubmit.parse(body);
        return onPrompt(await haltedOr(() => this.#prompted(payload, payload.prompt ?? '', caller)));
      }
      case 'PreToolUse': {
        const payload = PAYLOADS.PreToolUse.parse(body);
        return beforeTool(await haltedOr(() => this.#asked(payload, caller)));
      }
      case 'PostToolUse':
        return this.#used(PAYLOADS.PostToolUse.parse(body), caller, true);
      case 'PostToolUseFailure':
        return this.#used(PAYLOADS.PostToolUseFailure.parse(body), caller, false);
      case 'Stop':
        return this.#stopped(PAYLOADS.Stop.parse(body), caller);
      case 'SubagentStop':
        return this.#heard(PAYLOADS.SubagentStop.parse(body), caller);
      case 'SessionEnd': {
        const payload = PAYLOADS.SessionEnd.parse(body);
        return this.#ended(payload, payload.reason ?? 'other', caller);
      }
    }
  }

  /** The command of SessionStart posts its payload on, with the root that git names. */
  async #started(payload: Common, caller: Caller): Promise<Answer> {
    const root = spellings(caller.rootHeader)
      .map(readRoot)
      .find((path) => path !== null);
    const session = sessionOf(payload, caller);
    if (root !== undefined) {
      this.#notes.reported(keyOf(caller, session), { path: stripAgentWorktree(root), source: 'reported' });
    }
    await this.#enter(payload, caller);
    return NO_OPINION;
  }

  async #prompted(payload: Common, prompt: string, caller: Caller): Promise<Verdict> {
    const session = sessionOf(payload, caller);
    // Background work that is done is told as a prompt, too; it is nobody's purpose.
    if (!prompt.startsWith('<task-notification>')) this.#notes.prompted(keyOf(caller, session), prompt);
    const { run } = await this.#enter(payload, caller);
    const round = { epoch: run.epoch, iteration: run.iteration + 1 };
    const { signal, reasons } = await this.#deps.runs.heartbeat(caller.principal, run.id, round);
    const told = reasons.filter(({ code }) => code !== 'lease_revoked').map(({ detail }) => detail);
    if (signal === 'stop') return { kind: 'halt', reason: haltAdvice(told) };
    const verdict: Verdict = { kind: 'proceed', context: signal === 'pause' ? `Signalbox: ${told.join(' ')}` : null };
    return this.#withRevoked(verdict, caller, session, run.id);
  }

  /** With what the session has to hear of leases that were taken back; whoever is stopped hears it later. */
  async #withRevoked(verdict: Verdict, caller: Caller, session: Session, runId: string): Promise<Verdict> {
    return verdict.kind === 'halt' ? verdict : withContext(verdict, await this.#revoked(caller, session, runId));
  }

  /** What the session has to hear of leases that were taken back; null if it has, or there are none. */
  async #revoked(caller: Caller, session: Session, runId: string): Promise<string | null> {
    const revocations = await this.#deps.leases.revocations(caller.principal, runId);
    return revokedAdvice(this.#notes.untold(keyOf(caller, session), revocations));
  }

  async #asked(payload: ToolCall, caller: Caller): Promise<Verdict> {
    const { run, where } = await this.#enter(payload, caller);
    const ask = askOf(payload, where);
    if (ask.kind === 'refused') return this.#refuse(caller, run, ask.reason);
    if (ask.kind === 'unexplained' && !(await this.#deps.settings(caller.principal)).hooksFailOpen)
      return this.#refuse(caller, run, unexplainedAdvice(ask.path, where.roots));
    const asked = ask.kind === 'ask' ? ask.request : ask.asTool;
    const session = sessionOf(payload, caller);
    const description = descriptionOf(payload);
    const purpose =
      this.#notes.purposeOf(keyOf(caller, session)) ??
      (description === null ? null : this.#notes.purposeFrom(description));
    const verdict = await this.#deps.gate.ask({
      principal: caller.principal,
      request: { runId: run.id, repo: caller.repo, purpose, ...asked },
      callId: payload.tool_use_id ?? null,
      content: [payload.tool_name, payload.tool_input ?? null],
      approvalLink: caller.approvalLink,
      patience: caller.patience,
      ended: caller.ended,
    });
    return this.#withRevoked(verdict, caller, session, run.id);
  }

  /** A refusal of our own; a halt goes before it, since it must stop the agent whatever it asks for. */
  async #refuse(caller: Caller, run: SessionRun['run'], reason: string): Promise<Verdict> {
    const { reasons } = await this.#deps.runs.heartbeat(caller.principal, run.id, { epoch: run.epoch });
    const halts = reasons.filter(({ code }) => code === 'halted');
    if (halts.length > 0) return { kind: 'halt', reason: haltAdvice(halts.map(({ detail }) => detail)) };
    return { kind: 'refuse', reason };
  }

  /** What was done is recorded once, also if the client tells it twice. */
  async #used(payload: ToolCall, caller: Caller, ok: boolean): Promise<Answer> {
    const found = await this.#live(payload, caller);
    if (found === null) return NO_OPINION;
    const { run, loop } = found;
    const where = await this.#whereabouts(payload, caller, run);
    const ask = askOf(payload, where);
    const paths = ask.kind === 'ask' ? ask.paths.map(storable) : [];
    const key = `agent-hook:${run.id}:${payload.tool_use_id}:used`;
    const fingerprint = createHash('sha256').update(key).digest();
    const idempotent = payload.tool_use_id == null ? null : { key, operation: 'hook', fingerprint };
    await this.#deps.db.create(caller.principal, idempotent, async (tx) => {
      await beat(tx, run.id);
      tx.emit({
        kind: 'agent.tool_used',
        subject: { kind: 'run', id: run.id },
        data: {
          loopId: loop.id,
          tool: payload.tool_name,
          toolUseId: payload.tool_use_id ?? null,
          agentId: payload.agent_id ?? null,
          ok,
          paths: paths.slice(0, MOST_PATHS_TOLD),
          morePaths: Math.max(0, paths.length - MOST_PATHS_TOLD),
        },
      });
      return { status: 200, body: {} };
    });
    // What a session holds stays its own for as long as it works, also between two prompts.
    if (await this.#deps.leases.areRunningLow(caller.principal, run.id))
      await this.#deps.runs.heartbeat(caller.principal, run.id, { epoch: run.epoch });
    return ok ? afterTool(await this.#revoked(caller, sessionOf(payload, caller), run.id)) : NO_OPINION;
  }

  /** Every Stop ends a round, also one that another hook did not let stand: loops within a session work that way. */
  async #stopped(payload: StopCall, caller: Caller): Promise<Answer> {
    const found = await this.#live(payload, caller);
    if (found === null) return NO_OPINION;
    const crons = (payload.session_crons ?? []).slice(0, MOST_TIMERS_TOLD);
    const tasks = (payload.background_tasks ?? []).slice(0, MOST_TIMERS_TOLD);
    await this.#deps.sessions.endIteration(caller.principal, found.run.id, {
      sessionCrons: crons.map(({ id, schedule, recurring, prompt }) => ({
        id,
        schedule,
        recurring: recurring ?? null,
        prompt: prompt == null ? null : this.#notes.purposeFrom(prompt),
      })),
      backgroundTasks: tasks.map(({ id, type, status, description }) => ({
        id,
        type: type ?? null,
        status: status ?? null,
        description: description == null ? null : this.#notes.purposeFrom(description),
      })),
    });
    return NO_OPINION;
  }

  async #heard(payload: Common, caller: Caller): Promise<Answer> {
    const found = await this.#live(payload, caller);
    if (found !== null) await this.#deps.db.write(caller.principal, (tx) => beat(tx, found.run.id));
    return NO_OPINION;
  }

  async #ended(payload: Common, reason: string, caller: Caller): Promise<Answer> {
    const found = await this.#live(payload, caller);
    if (found === null) return NO_OPINION;
    const { id, epoch } = found.run;
    const outcome = await this.#outcomeOf(found.run, reason, caller.principal);
    await this.#deps.runs.finish(caller.principal, id, { epoch, outcome });
    return NO_OPINION;
  }

  /** The client tells of a Stop before each end of its own accord: a session that ends within a round was cut short. */
  async #outcomeOf({ id, epoch, iteration }: SessionRun['run'], reason: string, principal: Principal) {
    const summary = `The session ended: ${reason}`;
    const last = { limit: 1, cursor: encodeCursor([Math.max(0, iteration - 1)]) };
    const [round] = (await this.#deps.runs.listIterations(principal, id, last)).items;
    if (round === undefined || round.endedAt !== null) return { status: 'succeeded', summary } as const;
    const { signal, reasons } = await this.#deps.runs.heartbeat(principal, id, { epoch });
    if (signal !== 'stop') return { status: 'cancelled', summary } as const;
    const why = reasons.map(({ detail }) => detail).join(' ');
    return { status: 'stopped', summary: why.slice(0, SUMMARY_CHARACTERS).toWellFormed() } as const;
  }

  /** The session's run, started now if there is none, and where the agent works. */
  async #enter(payload: Common, caller: Caller): Promise<{ run: SessionRun['run']; where: Whereabouts }> {
    const { principal } = caller;
    const session = sessionOf(payload, caller);
    const { run, started } = await this.#deps.sessions.runOfSession(principal, session);
    // So that it is known when the database no longer answers.
    if (started) await this.#deps.settings(principal);
    const report = this.#notes.takeReport(keyOf(caller, session));
    if (report !== undefined) await this.#deps.roots.note(principal, run.id, MAIN_AGENT, report);
    return { run, where: await this.#whereabouts(payload, caller, run) };
  }

  async #whereabouts(payload: Common, caller: Caller, run: SessionRun['run']): Promise<Whereabouts> {
    const { where, notes } = whereaboutsOf({
      agentId: payload.agent_id ?? MAIN_AGENT,
      cwd: payload.cwd ?? null,
      firstCwd: run.worktree,
      header: caller.rootHeader,
      known: await this.#deps.roots.rootsOf(caller.principal, run.id),
      ownDirectories: ownDirectoriesOf(payload.transcript_path),
    });
    for (const { agentId, root } of notes) await this.#deps.roots.note(caller.principal, run.id, agentId, root);
    return where;
  }

  async #live(payload: Common, caller: Caller): Promise<SessionRun | null> {
    return this.#deps.sessions.liveRunOf(caller.principal, sessionOf(payload, caller));
  }
}

/** With something more to tell. */
function withContext(verdict: Exclude<Verdict, { kind: 'halt' }>, more: string | null): Verdict {
  if (more === null) return verdict;
  if (verdict.kind === 'refuse') return { kind: 'refuse', reason: `${verdict.reason}\n${more}` };
  return { kind: 'proceed', context: verdict.context === null ? more : `${verdict.context}\n${more}` };
}

/** A run that cannot start because of a halt is the halt's own answer. */
async function haltedOr(work: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem && error.code === 'halted')
      return { kind: 'halt', reason: haltAdvice([error.message]) };
    throw error;
  }
}

function sessionOf(payload: Common, { repo, loopName }: Caller): Session {
  return {
    repo,
    loopName,
    sessionId: payload.session_id,
    trigger: 'claude-code',
    worktree: payload.cwd?.startsWith('/') === true ? payload.cwd : undefined,
  };
}

function keyOf({ principal, repo, loopName }: Caller, { sessionId }: Session): string {
  return [principal.orgId, principalId(principal), principal.loopId, repo, loopName, sessionId].join(' ');
}
