import { createHash } from 'node:crypto';
import {
  type Admission,
  type AdmissionRequest,
  type AdmissionService,
  DEFAULT_WISH,
} from '../../modules/admission/index.ts';
import type { ApprovalService } from '../../modules/governance/index.ts';
import type { OrgSettings } from '../../modules/identity/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import type { Principal } from '../../platform/principal.ts';
import { approvalAdvice, deniedAdvice, haltAdvice, heldAdvice, sharedContext } from './advice.ts';
import type { Patience } from './patience.ts';

/** What an agent is told, before it is put into its dialect. */
export type Verdict =
  | { readonly kind: 'proceed'; readonly context: string | null }
  | { readonly kind: 'refuse'; readonly reason: string }
  /** The agent must not only leave this, but stop. */
  | { readonly kind: 'halt'; readonly reason: string };

export interface GateDeps {
  readonly admissions: AdmissionService;
  readonly approvals: ApprovalService;
  readonly settings: (principal: Principal) => Promise<OrgSettings>;
  readonly clock: Clock;
}

/** One tool call of an agent, as a question. */
export interface Question {
  readonly principal: Principal;
  readonly request: Omit<AdmissionRequest, 'contentDigest' | 'lease'>;
  /** The agent's own id of this call, if it has one: a repeated question about it does not spend an approval twice. */
  readonly callId: string | null;
  /** What the call would do, whole; only its hash is kept. */
  readonly content: unknown;
  /** Where people look at an approval. */
  readonly approvalLink: (approvalId: string) => string;
  readonly patience: Patience;
  /** Aborts when the client has gone or the server drains. */
  readonly ended: AbortSignal;
}

/**
 * Asks for a tool call: one admission, and where a person must look first, the answer is held open for a while.
 *
 * No digest of the content is sent: an approval is of an edit to these paths by this loop, and a model that is told to
 * try again words the content anew. A shell command is its own content.
 */
export class AgentGate {
  readonly #deps: GateDeps;

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  /** @throws Problem as `AdmissionService.admit` */
  async ask(question: Question): Promise<Verdict> {
    const first = await this.#admit(question, null);
    const { approvalId } = first.decision;
    if (first.outcome !== 'require_approval' || approvalId === undefined) return this.#verdict(first);
    return this.#hold(question, first, approvalId);
  }

  async #hold(question: Question, first: Admission, approvalId: string): Promise<Verdict> {
    const { principal, ended } = question;
    const { holdSeconds } = await this.#deps.settings(principal);
    question.patience.extend(holdSeconds * 1000);
    const approval = await this.#deps.approvals.wait(principal, approvalId, holdSeconds, ended);
    if (approval.status === 'pending') {
      const link = question.approvalLink(approvalId);
      const { rules } = first.decision;
      const told = { approvalId, rules, missing: approval.requirements, link, heldSeconds: holdSeconds };
      return { kind: 'refuse', reason: approvalAdvice(told) };
    }
    const settled = await this.#admit(question, approvalId);
    // Settled, and another one is needed: it ran out, or was spent by the same call made at once elsewhere.
    if (settled.outcome === 'require_approval') {
      const id = settled.decision.approvalId ?? approvalId;
      const told = { approvalId: id, rules: settled.decision.rules, missing: [], link: question.approvalLink(id) };
      return { kind: 'refuse', reason: approvalAdvice({ ...told, heldSeconds: 0 }) };
    }
    return this.#verdict(settled);
  }

  /**
   * The same call asked about again gets what it got before only if that spent an approval; whatever else was said then
   * may be wrong by now, and is asked anew.
   */
  async #admit(question: Question, approvalId: string | null): Promise<Admission> {
    const { principal, request } = question;
    const ask = { ...request, contentDigest: null, lease: DEFAULT_WISH };
    const answer = await this.#deps.admissions.admit(principal, ask, idempotentOf(question, approvalId));
    if (answer.replayed !== true || answer.outcome === 'require_approval') return answer;
    if (answer.outcome === 'allow' && answer.decision.approvalId !== undefined) return answer;
    return this.#deps.admissions.admit(principal, ask, null);
  }

  #verdict(admission: Admission): Verdict {
    const now = this.#deps.clock.now();
    const { rules } = admission.decision;
    switch (admission.outcome) {
      case 'allow':
        return { kind: 'proceed', context: sharedContext(admission.context, now) };
      case 'wait':
        return { kind: 'refuse', reason: heldAdvice(admission, now) };
      case 'require_approval':
        return { kind: 'refuse', reason: deniedAdvice(rules) };
      case 'deny': {
        const halts = rules.filter(({ id, policy }) => policy === null && id.startsWith('halt:'));
        if (halts.length > 0) return { kind: 'halt', reason: haltAdvice(halts.map(({ reason }) => reason)) };
        return { kind: 'refuse', reason: deniedAdvice(rules) };
      }
    }
  }
}

/** Bound to the run: a session that goes on later asks for itself. */
function idempotentOf({ callId, content, request }: Question, approvalId: string | null): Idempotent | null {
  if (callId === null) return null;
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([request.parts, content]))
    .digest();
  const digest = fingerprint.toString('hex').slice(0, 16);
  const key = ['agent-hook', request.runId, callId, digest, ...(approvalId === null ? [] : [approvalId])].join(':');
  return { key, operation: 'hook', fingerprint };
}
