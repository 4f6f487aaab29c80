import { WebSocket } from 'ws';
import type { Transcript } from './api.ts';
import { StoryFailure } from './check.ts';

export interface StoryEvent {
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly actor: { readonly kind: string; readonly id: string; readonly role: string };
  readonly subject: { readonly kind: string; readonly id: string };
  readonly data: Readonly<Record<string, unknown>>;
  readonly hash: string;
}

/** The live feed of an org, as a WebSocket client has it. */
export interface Feed {
  /** In the order in which they came. */
  readonly events: readonly StoryEvent[];
  /** Waits until the event of this seq has come. @throws StoryFailure when it does not, or something came out of order */
  until(seq: number): Promise<void>;
  close(): void;
}

const PATIENCE_MS = 10_000;

/** @param after the seq after which it begins */
export async function followFeed(options: {
  url: string;
  secret: string;
  after: number;
  heard: Transcript;
  onEvent: (event: StoryEvent) => void;
}): Promise<Feed> {
  const { url, secret, after, heard, onEvent } = options;
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/events?after=${after}`, {
    headers: { authorization: `Bearer ${secret}` },
    handshakeTimeout: PATIENCE_MS,
  });
  const events: StoryEvent[] = [];
  const waiting = new Set<() => void>();
  let failure: StoryFailure | null = null;
  const wake = () => waiting.forEach((check) => check());
  const fail = (message: string) => {
    failure ??= new StoryFailure(message);
    wake();
  };
  const position = () => events.at(-1)?.seq ?? after;
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    heard.push(text);
    const event = JSON.parse(text) as StoryEvent;
    if (event.seq !== position() + 1) fail(`the live feed: event ${event.seq} came after ${position()}`);
    events.push(event);
    onEvent(event);
    wake();
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', (error) => reject(new StoryFailure(`the live feed cannot be opened: ${error.message}`)));
  });
  socket.on('error', (error) => fail(`the live feed: ${error.message}`));
  socket.on('close', (code) => fail(`the live feed was closed with ${code}`));
  const until = (seq: number) =>
    new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(check);
        settle();
      };
      const late = () =>
        reject(new StoryFailure(`the live feed: event ${seq} has not come, the last is ${position()}`));
      const timer = setTimeout(() => end(late), PATIENCE_MS);
      const check = () => {
        const failed = failure;
        if (failed !== null) end(() => reject(failed));
        else if (position() >= seq) end(resolve);
      };
      waiting.add(check);
      check();
    });
  return { events, until, close: () => socket.terminate() };
}
