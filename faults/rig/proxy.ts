import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What becomes of the bytes that came in: all, half or none of them go on, and after that maybe nothing does. */
export type Passage = 'pass' | 'pass-and-deafen' | 'half-and-cut' | 'cut';

/** How one connection is treated; asked anew for every connection, so that it can remember. */
export interface Treatment {
  /** From whoever connected. */
  readonly up: (chunk: Buffer) => Passage;
  /** From the server. */
  readonly down: (chunk: Buffer) => Passage;
}

export interface Proxy {
  readonly port: number;
  close(): Promise<void>;
}

/** A TCP proxy that resets connections. Towards the server they are closed in order: what was sent to it still arrives. */
export async function startProxy(target: () => number | null, treatment: () => Treatment): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const port = target();
    if (port === null) return void client.resetAndDestroy();
    const upstream = connect(port, '127.0.0.1');
    const { up, down } = treatment();
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // Without it small messages wait for each other's acknowledgement, 40 ms a time.
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    client.on('close', () => {
      sockets.delete(client);
      upstream.end();
    });
    upstream.on('close', () => {
      sockets.delete(upstream);
      client.destroySoon();
    });
    let isDeaf = false;
    const carry = (chunk: Buffer, to: Socket, passage: Passage) => {
      if (isDeaf && to === client) return void client.resetAndDestroy();
      const part = passage === 'cut' ? 0 : passage === 'half-and-cut' ? Math.ceil(chunk.length / 2) : chunk.length;
      const cut = passage.endsWith('cut') ? () => client.resetAndDestroy() : () => {};
      isDeaf ||= passage === 'pass-and-deafen';
      if (part === 0) cut();
      else if (to.writable) to.write(chunk.subarray(0, part), cut);
    };
    client.on('data', (chunk: Buffer) => carry(chunk, upstream, up(chunk)));
    upstream.on('data', (chunk: Buffer) => carry(chunk, client, down(chunk)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
