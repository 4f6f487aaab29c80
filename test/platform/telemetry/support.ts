import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTelemetry, type Telemetry } from '../../../src/platform/telemetry/index.ts';

export interface ReceivedSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  status: { code: number };
  attributes: { key: string; value: Record<string, unknown> }[];
  events: { name: string; attributes: { key: string; value: Record<string, unknown> }[] }[];
}

interface TracesBody {
  resourceSpans: { resource: { attributes: ReceivedSpan['attributes'] }; scopeSpans: { spans: ReceivedSpan[] }[] }[];
}

/** An OTLP/HTTP collector that keeps what it is sent. */
export async function startCollector() {
  const requests: { path: string; body: string }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString() });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const resourceSpans = () =>
    requests
      .filter(({ path }) => path === '/v1/traces')
      .flatMap(({ body }) => (JSON.parse(body) as TracesBody).resourceSpans);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    resourceSpans,
    spans: () => resourceSpans().flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An attribute list as an object; int64 arrives as number or string, both told as number. */
export function attributesOf(item: { attributes: ReceivedSpan['attributes'] }): Record<string, unknown> {
  return Object.fromEntries(
    item.attributes
      .map(({ key, value }) => ['intValue' in value, key, Object.values(value)[0]] as const)
      .map(([isInt, key, value]) => [key, isInt ? Number(value) : value]),
  );
}

export function telemetryFor(
  env: NodeJS.ProcessEnv,
  more: Partial<Parameters<typeof startTelemetry>[0]> = {},
): Telemetry {
  return startTelemetry({ serviceName: 'signalbox', serviceVersion: '1.2.3', instanceId: 'i-1', env, ...more });
}
