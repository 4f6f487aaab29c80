import { WebSocket } from 'ws';

export interface FollowedEvent {
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly actor: Record<string, unknown>;
  readonly subject: { readonly kind: string; readonly id: string };
  readonly data: Record<string, unknown>;
  readonly hash: string;
}

/** So long without an event it looks elsewhere: a server that is paused keeps its connections. */
const QUIET_MS = 2500;
const RECONNECT_MS = 100;

/**
 * A reader of the log that follows it throughout: over a WebSocket of any server, and when that breaks over another's,
 * from the last event that it has had.
 */
export class Follower {
  /** As they came. */
  readonly received: FollowedEvent[] = [];
  connections = 0;
  readonly #ports: readonly number[];
  readonly #secret: string;
  #socket: WebSocket | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(ports: readonly number[], secret: string) {
    this.#ports = ports;
    this.#secret = secret;
    this.#connect();
  }

  get last(): number {
    return this.received.at(-1)?.seq ?? 0;
  }

  #connect(): void {
    if (this.#isClosed) return;
    const port = this.#ports[this.connections % this.#ports.length]!;
    this.connections += 1;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v1/events?after=${this.last}`, {
      headers: { authorization: `Bearer ${this.#secret}` },
      handshakeTimeout: QUIET_MS,
    });
    this.#socket = socket;
    const listen = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => socket.terminate(), QUIET_MS);
    };
    listen();
    socket.on('message', (data: Buffer) => {
      listen();
      this.received.push(JSON.parse(data.toString('utf8')) as FollowedEvent);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(this.#timer);
      setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.terminate();
  }
}
