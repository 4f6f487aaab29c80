import { randomUUID } from 'node:crypto';
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { isUnavailable } from '../database/sql-state.ts';
import { Problem, type ProblemDetail } from '../errors.ts';
import { type CodeOf, isRefusalCode } from '../problem-codes.ts';
import type { App } from './app.ts';

/** Answers every error as application/problem+json; what is not a Problem is ours, logged with its stack, told as 500. */
export function answerErrors(app: App): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error);
    if (problem.status >= 500)
      request.log.error({ err: error, operationId: request.routeOptions.schema?.operationId }, problem.message);
    return sendProblem(request, reply, problem);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, new Problem(404, 'not_found', 'No such route.')),
  );
}

/** Answers what Fastify refuses before there is a route: a URL that is none, or a part of it that is too long. */
export function answerBadUrl(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(request, reply, toProblem(error));
}

/** Answers what Node cannot parse as HTTP, and closes: what follows on that connection cannot be told apart. */
export function answerBadHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answerOnSocket(socket, HTTP_PARSER_CODES[error.code ?? ''] ?? new Problem(400, 'bad_request', 'This is not HTTP.'));
}

/** Answers where there is no reply to answer with, and closes. */
export function answerOnSocket(socket: Duplex, problem: Problem): void {
  const body = bodyOf(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Answers what is not to come to a route, and closes. */
export function answerWithoutRoute(answer: ServerResponse, problem: Problem): void {
  const body = bodyOf(problem);
  const about = { 'content-type': 'application/problem+json', 'content-length': Buffer.byteLength(body) };
  answer.writeHead(problem.status, { ...problem.headers, ...about, connection: 'close' }).end(body);
}

const bodyOf = (problem: Problem): string => JSON.stringify({ ...problem.toBody(), requestId: randomUUID() });

const HTTP_PARSER_CODES: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: new Problem(431, 'headers_too_large', 'The headers are too large.'),
  ERR_HTTP_REQUEST_TIMEOUT: new Problem(408, 'request_timeout', 'The request did not arrive in time.'),
};

function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send({ ...problem.toBody(), requestId: request.id });
}

/** What a client may be told of any error thrown while answering. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map(
      (issue): ProblemDetail => ({
        path: pathOf(error.validationContext, issue.instancePath),
        reason: issue.message ?? 'invalid',
      }),
    );
    const first = errors[0];
    return new Problem(
      422,
      ownCode(error.validation[0]) ?? 'invalid_request',
      first === undefined ? 'The request is invalid.' : `${first.path}: ${first.reason}`,
      { errors },
    );
  }
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  const known = FASTIFY_CODES[code ?? ''];
  if (known !== undefined) return known((error as Error).message);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem(statusCode as 400, 'bad_request', (error as Error).message);
  if (isUnavailable(error))
    return new Problem(
      503,
      'unavailable',
      'The database is not reachable or too busy; try again.',
      {},
      { 'retry-after': '1' },
    );
  return new Problem(500, 'internal', 'Something failed on our side; the log has it under this request id.');
}

/** The code that a schema gives to one of its checks, with `params: {code}`. */
function ownCode(issue: { params?: unknown } | undefined): CodeOf<422> | null {
  const { params } = (issue?.params ?? {}) as { params?: { code?: unknown } };
  return isRefusalCode(params?.code) ? params.code : null;
}

const FASTIFY_CODES: Readonly<Record<string, (detail: string) => Problem>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: (detail) => new Problem(413, 'body_too_large', detail),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (detail) => new Problem(415, 'unsupported_media_type', detail),
  FST_ERR_CTP_EMPTY_JSON_BODY: (detail) => new Problem(400, 'malformed_json', detail),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: (detail) => new Problem(400, 'bad_request', detail),
  FST_ERR_BAD_URL: (detail) => new Problem(400, 'bad_request', detail),
  FST_ERR_MAX_PARAM_LENGTH: (detail) => new Problem(414, 'url_too_long', detail),
};

/** `/files/0/path` of the body becomes `body.files[0].path`. */
function pathOf(context: string | undefined, pointer: string | undefined): string {
  const parts = (pointer ?? '').split('/').filter((part) => part !== '');
  const tail = parts.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join('');
  return `${context === 'querystring' ? 'query' : (context ?? 'body')}${tail}`;
}
