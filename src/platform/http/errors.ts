import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { isConnectionLoss } from '../database/sql-state.ts';
import { Problem, type ProblemDetail } from '../errors.ts';
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

export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
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
      'invalid_request',
      first === undefined ? 'The request is invalid.' : `${first.path}: ${first.reason}`,
      { errors },
    );
  }
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  const known = FASTIFY_CODES[code ?? ''];
  if (known !== undefined) return new Problem(known.status, known.code, (error as Error).message);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem(statusCode, 'bad_request', (error as Error).message);
  if (isConnectionLoss(error))
    return new Problem(503, 'unavailable', 'The database is not reachable.', {}, { 'retry-after': '1' });
  return new Problem(500, 'internal', 'Something failed on our side; the log has it under this request id.');
}

const FASTIFY_CODES: Readonly<Record<string, { status: number; code: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, code: 'body_too_large' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { status: 415, code: 'unsupported_media_type' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { status: 400, code: 'malformed_json' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { status: 400, code: 'bad_request' },
  FST_ERR_BAD_URL: { status: 400, code: 'bad_request' },
};

/** `/files/0/path` of the body becomes `body.files[0].path`. */
function pathOf(context: string | undefined, pointer: string | undefined): string {
  const parts = (pointer ?? '').split('/').filter((part) => part !== '');
  const tail = parts.map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`)).join('');
  return `${context === 'querystring' ? 'query' : (context ?? 'body')}${tail}`;
}
