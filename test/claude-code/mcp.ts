import { z } from 'zod';
import { type Loopback, listen } from './loopback.ts';

const Call = z.looseObject({
  id: z.union([z.string(), z.number()]).optional(),
  method: z.string(),
  params: z.unknown().optional(),
});

const TOOL = {
  name: 'write_file',
  description: 'Writes a file',
  inputSchema: { type: 'object', properties: { path: { type: 'string' }, content: { type: 'string' } } },
};

/**
 * Somebody else's MCP server with one tool that says it wrote a file, to see what a hook gets of an MCP tool. Streamable
 * HTTP with plain JSON answers. Source: the MCP specification, 2025-06-18.
 */
export function startFilesMcp(): Promise<Loopback> {
  return listen((request, response, body) => {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const call = Call.parse(JSON.parse(body));
    if (call.id === undefined) return void response.writeHead(202).end();
    const answer = { jsonrpc: '2.0', id: call.id, result: resultOf(call) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
}

function resultOf(call: z.infer<typeof Call>): unknown {
  switch (call.method) {
    case 'initialize': {
      const { protocolVersion } = z.looseObject({ protocolVersion: z.string() }).parse(call.params);
      return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'files', version: '1.0.0' } };
    }
    case 'tools/list':
      return { tools: [TOOL] };
    case 'tools/call':
      return { content: [{ type: 'text', text: 'written' }] };
    default:
      return {};
  }
}
