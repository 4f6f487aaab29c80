import { headersOf, listen } from './loopback.ts';

/** One hook call as it arrived. */
export interface HookCall {
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  /** Milliseconds since the recorder started: when it arrived and when it was answered. */
  readonly arrivedAt: number;
  answeredAt?: number;
}

/** What the recorder answers: JSON by default with status 200; `raw` is sent as it is. */
export interface HookAnswer {
  readonly status?: number;
  readonly json?: unknown;
  readonly raw?: string;
  readonly delayMs?: number;
}

export interface HookRecorder {
  readonly url: string;
  readonly calls: readonly HookCall[];
  readonly of: (event: string) => readonly HookCall[];
  readonly close: () => Promise<void>;
}

/** A server that records every hook call and answers as told; without an answer it has no opinion: an empty 200. */
export async function startHookRecorder(
  answer: (call: HookCall) => HookAnswer | undefined = () => undefined,
): Promise<HookRecorder> {
  const calls: HookCall[] = [];
  const started = performance.now();
  const server = await listen(async (request, response, body) => {
    const payload = JSON.parse(body) as Record<string, unknown>;
    const event = String(payload['hook_event_name']);
    const arrivedAt = performance.now() - started;
    const call: HookCall = { event, payload, headers: headersOf(request), path: request.url ?? '', arrivedAt };
    calls.push(call);
    const { status = 200, json, raw, delayMs = 0 } = answer(call) ?? {};
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    call.answeredAt = performance.now() - started;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(raw ?? (json === undefined ? '' : JSON.stringify(json)));
  });
  const of = (event: string) => calls.filter((call) => call.event === event);
  return { url: server.url, calls, of, close: server.close };
}
