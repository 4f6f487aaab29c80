import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Authenticator } from '../../../modules/identity/index.ts';
import type { Clock } from '../../../platform/clock.ts';
import { Problem } from '../../../platform/errors.ts';
import { bearerOf } from '../../../platform/http/request.ts';
import { repoName } from '../../../platform/http/schemas.ts';
import type { App } from '../../../platform/http/server.ts';
import type { Principal } from '../../../platform/principal.ts';
import { failedAdvice } from '../advice.ts';
import { Patience } from '../patience.ts';
import { BODY_LIMIT_BYTES, type HookBody, readBody } from './body.ts';
import { type Answer, NO_OPINION, onFailure } from './dialect.ts';
import type { Caller, ClaudeCodeHook } from './hook.ts';
import { isEvent } from './payload.ts';

export interface ClaudeCodeRoutes {
  readonly hook: ClaudeCodeHook;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  /** Whether a role may do what a hook does in its name. */
  readonly mayRunLoops: (principal: Principal) => boolean;
  /** Whether the org has said that an agent may go on when we fail; false when it is not known. */
  readonly failsOpen: (orgId: string) => boolean;
  /** How people reach this server; without it, as the agent does. */
  readonly publicUrl: string | undefined;
  readonly draining: AbortSignal;
}

/** Without a key a body is read only for the event's name. */
const STRANGERS_LIMIT_BYTES = 64 * 1024;

/** Besides the time that a person is waited for: together less than the 30 s that the client waits. */
const PATIENCE_MS = 8000;

const query = z.object({
  repo: repoName(),
  loop: z.string().min(1).max(200).optional(),
});

/**
 * `POST /hooks/claude-code`. Whatever happens, the answer is 200 with JSON in the agent's dialect: by any other status
 * the agent goes on as if nobody had been asked.
 */
export async function claudeCodeRoutes(app: App, deps: ClaudeCodeRoutes): Promise<void> {
  await app.register(async (scope) => {
    const entries = new WeakMap<FastifyRequest, Entry>();
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) =>
      readBody(payload, request.principal === null ? STRANGERS_LIMIT_BYTES : BODY_LIMIT_BYTES),
    );
    scope.setErrorHandler((error, request, reply) => {
      request.log.error({ err: error }, 'agent hook');
      return send(reply, onFailure(null, failedAdvice('the call could not be read.')));
    });
    scope.post('/hooks/claude-code', {
      config: { access: 'agent-hook' },
      schema: { hide: true },
      onRequest: async (request) => {
        const entry: Entry = { patience: new Patience(deps.clock, PATIENCE_MS), refusal: null };
        entries.set(request, entry);
        try {
          request.principal = await entry.patience.demand(deps.authenticator.authenticate(bearerOf(request)));
        } catch (error) {
          entry.refusal = toRefusal(error, request);
        }
      },
      handler: async (request, reply) => {
        const body = (request.body as HookBody | undefined) ?? EMPTY;
        return send(reply, await answerTo(deps, request, reply, body, entries.get(request)!));
      },
    });
  });
}

interface Entry {
  readonly patience: Patience;
  /** Why the key was refused. */
  refusal: Problem | null;
}

const EMPTY: HookBody = { kind: 'unreadable', why: "the hook's body is empty.", event: null };

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  return reply.code(200).type('application/json; charset=utf-8').send(JSON.stringify(answer));
}

async function answerTo(
  deps: ClaudeCodeRoutes,
  request: FastifyRequest,
  reply: FastifyReply,
  body: HookBody,
  { patience, refusal }: Entry,
): Promise<Answer> {
  const event = eventOf(body);
  try {
    if (refusal !== null) throw refusal;
    if (body.kind === 'unreadable') throw new Problem(400, 'bad_request', body.why);
    if (event === null) throw new Problem(422, 'invalid_request', 'the body names no hook_event_name.');
    if (!isEvent(event)) return NO_OPINION;
    return await whileOpen(reply, deps.draining, (ended) =>
      patience.demand(deps.hook.answer(event, body.value, { ...callerOf(deps, request), patience, ended })),
    );
  } catch (error) {
    const problem = toRefusal(error, request);
    const { principal } = request;
    if (problem.status >= 500 && principal !== null && deps.failsOpen(principal.orgId)) return NO_OPINION;
    return onFailure(event, failedAdvice(problem.message));
  }
}

function eventOf(body: HookBody): string | null {
  if (body.kind === 'unreadable') return body.event;
  const name = (body.value as { hook_event_name?: unknown } | null)?.hook_event_name;
  return typeof name === 'string' ? name : null;
}

/** @throws Problem 401, 403, 422 for who calls and the URL */
function callerOf(deps: ClaudeCodeRoutes, request: FastifyRequest): Omit<Caller, 'patience' | 'ended'> {
  const { principal } = request;
  if (principal === null) throw new Problem(401, 'unauthenticated', 'the API key is not known.');
  if (!deps.mayRunLoops(principal)) {
    throw new Problem(403, 'forbidden', `an API key of the role ${principal.role} may not run a loop.`);
  }
  const read = query.safeParse(request.query);
  if (!read.success) throw new Problem(422, 'invalid_request', "the hook's URL needs ?repo=owner/name.");
  const header = request.headers['x-signalbox-root'];
  const base = deps.publicUrl ?? `${request.protocol}://${request.host}`;
  return {
    principal,
    repo: read.data.repo,
    loopName: read.data.loop ?? null,
    rootHeader: typeof header === 'string' ? header : '',
    approvalLink: (approvalId) => `${base}/?approval=${approvalId}`,
  };
}

/** What the agent may be told of an error; our own are logged. */
function toRefusal(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return new Problem(422, 'invalid_request', `${issue?.path.join('.') ?? 'body'}: ${issue?.message ?? 'invalid'}.`);
  }
  if (error instanceof Problem) return error;
  request.log.error({ err: error }, 'agent hook');
  return new Problem(500, 'internal', `something failed on the server; its log has it under ${request.id}.`);
}

async function whileOpen<T>(
  reply: FastifyReply,
  draining: AbortSignal,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const end = (): void => over.abort();
  if (draining.aborted) end();
  draining.addEventListener('abort', end, { once: true });
  reply.raw.once('close', end);
  try {
    return await work(over.signal);
  } finally {
    draining.removeEventListener('abort', end);
    reply.raw.off('close', end);
  }
}
