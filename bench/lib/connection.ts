import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** One keep-alive HTTP/1.1 connection on a raw socket, one request at a time: it must cost less than what it measures. */
export class Connection {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#settle?.reject(error));
    socket.on('close', () => this.#settle?.reject(new Error('the server closed a connection without an answer')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Connection(socket);
  }

  request(text: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(text);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end < 0) return;
    const header = this.#pending.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(header)?.[1] ?? Number.NaN);
    const settle = this.#settle;
    // Fail rather than misread: nothing that is measured here sends chunks or speaks unasked.
    if (Number.isNaN(length) || settle === null) {
      this.#socket.destroy(new Error(`an answer that cannot be read: ${header}`));
      return;
    }
    if (this.#pending.length < end + 4 + length) return;
    const body = this.#pending.subarray(end + 4, end + 4 + length);
    this.#pending = this.#pending.subarray(end + 4 + length);
    this.#settle = null;
    settle.resolve({ status: Number(header.slice(9, 12)), body });
  }
}
