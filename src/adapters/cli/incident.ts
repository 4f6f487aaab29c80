import { z } from 'zod';
import { Api } from './api.ts';
import { CLIENT_HELP, CLIENT_OPTIONS, type Command } from './command.ts';
import { connectionOf } from './connection.ts';
import { UsageError } from './failure.ts';
import { json, plain } from './text.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const help = `signalbox incident ID

The report of an incident in Markdown: what is known of it, when what happened, the deployed changes ranked as its
possible cause, and behind each of the first ones the chain back to who decided. ID is what POST /incidents answered.

${CLIENT_HELP}

With --json: {items, noneOfThese, …}, the suspects as GET /incidents/{id}/suspects answers.
`;

export const incident: Command = {
  summary: 'who may have caused an incident, and how it came about',
  help,
  options: CLIENT_OPTIONS,
  async run({ values, words }, { env, print }) {
    const [id, ...rest] = words;
    if (id === undefined || rest.length > 0) throw new UsageError('incident takes the id of one incident');
    if (!UUID.test(id)) throw new UsageError("incident: an incident's id is a UUID");
    const api = new Api(connectionOf(values, env));
    if (values['json'] === true) {
      print(`${json(await api.get(`/incidents/${id}/suspects`, z.looseObject({ items: z.array(z.unknown()) })))}\n`);
      return;
    }
    const report = await api.text(`/incidents/${id}/report`);
    print(`${report.trimEnd().split('\n').map(plain).join('\n')}\n`);
  },
};
