import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What happens to the next commit that passes: it goes through, never arrives, or arrives and its answer does not. A connection
 * that goes silent is not even cut: it only brings nothing back any more.
 */
export type Fate = 'pass' | 'lose-request' | 'lose-answer' | 'go-silent';

export interface BreakingProxy {
  readonly port: number;
  /** For the next connection that sends `at`; then all is well again. */
  fate: Fate;
  /** What commits: COMMIT, unless said otherwise; or a statement that is a transaction of its own. */
  at: string;
  /** Nobody gets a connection, as while PostgreSQL is away; those that are there stay. */
  isAway: boolean;
  /** How many were broken. */
  readonly broken: () => number;
  close(): Promise<void>;
}

/** A TCP proxy in front of PostgreSQL that cuts a connection around a commit. */
export async function startBreakingProxy(target: { host: string; port: number }): Promise<BreakingProxy> {
  let broken = 0;
  const sockets = new Set<Socket>();
  const proxy = { fate: 'pass' as Fate, at: 'COMMIT\0', isAway: false };
  const server: Server = createServer((client) => {
    if (proxy.isAway) return void client.destroy();
    const upstream = connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        // What is under way to PostgreSQL still arrives: a client that is cut off has nevertheless sent it.
        upstream.end();
      });
    }
    let deaf: Fate | null = null;
    client.on('data', (chunk: Buffer) => {
      if (proxy.fate === 'pass' || !chunk.includes(proxy.at)) return void upstream.write(chunk);
      const { fate } = proxy;
      proxy.fate = 'pass';
      broken += 1;
      if (fate === 'lose-request') return void client.destroy();
      deaf = fate;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      // The answer to COMMIT is there, so it has taken effect: now the client loses its connection.
      if (deaf === 'lose-answer') client.destroy();
      else if (deaf === null) client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(proxy, {
    port: (server.address() as AddressInfo).port,
    broken: () => broken,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
