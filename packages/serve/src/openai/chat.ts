/** @file `/v1/chat/completions`: an answer to a conversation, whole or piece by piece. */

import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Answer } from '@onnx-lora/sdk/tasks';
import { z } from 'zod';
import { ownerOf } from '../http/owner.ts';
import { jsonBody } from '../http/json.ts';
import { type Asked, type Route, route } from '../http/routes.ts';
import { resolved, type Service } from '../http/service.ts';
import { inNameOf } from '../inference/request.ts';
import { taskAmong, wantedModel } from './models.ts';

const message = z.object({ role: z.enum(['system', 'user', 'assistant', 'developer', 'tool']), content: z.string() });

const request = z.object({
  model: z.string().describe('the base, "base:adapter", or an adapter alone'),
  messages: z.array(message).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  seed: z.int().min(0).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  n: z.literal(1).nullish(),
});

/** Tokens of the conversation, and of the answer with its end. */
const usage = z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });

const completion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({ index: z.int(), message, finish_reason: z.enum(['stop', 'length']) })),
  usage: usage.optional(),
});

/** The route. */
export function chatRoute(service: Service): Route {
  return route({
    method: 'POST',
    url: '/v1/chat/completions',
    summary: 'an answer to a conversation; with "stream", piece by piece',
    body: { 'application/json': request },
    answer: completion,
    isComputed: true,
    handle: (asked) => answered(service, asked),
  });
}

async function answered(service: Service, asked: Asked<unknown, unknown>): Promise<unknown> {
  const { model, messages, stream, stream_options: told, ...how } = await jsonBody(request, asked.body);
  const adapter = await resolved(service, wantedModel(service, model), asked.caller);
  const task = taskAmong(service, ['chat']);
  const { predictor } = await (await service.variants.get(adapter)).predictor({ task, settings: settingsOf(how) });
  const said = messages.map(({ role, content }) => ({ role: role === 'developer' ? 'system' : role, content }));
  const source = Readable.from([Buffer.from(JSON.stringify({ messages: said }))]);
  const { signal, caller, reply } = asked;
  const answers = predictor.predict([source], { signal, parts: stream === true })[Symbol.asyncIterator]();
  const next = (): Promise<IteratorResult<Answer>> => inNameOf(ownerOf(caller, {}, signal), () => answers.next());
  const about = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
  // What cannot be answered is told with a status of its own, before anything is sent.
  const first = await next();
  if (first.done) throw new OnnxLoraError('CANCELLED', 'The client has gone before there was an answer.');
  if (!stream) {
    const { text, finish } = first.value.prediction;
    const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: reasonOf(finish) };
    return { ...about, object: 'chat.completion', choices: [choice], usage: usageOf(first.value) };
  }
  const event = (what: object): string =>
    `data: ${JSON.stringify({ ...about, object: 'chat.completion.chunk', ...what })}\n\n`;
  const chunk = (delta: object, finish: string | null): string =>
    event({ choices: [{ index: 0, delta, finish_reason: finish }] });
  async function* chunks(): AsyncGenerator<string> {
    yield chunk({ role: 'assistant', content: '' }, null);
    try {
      for (let each = first; !each.done; each = await next()) {
        const { isPart = false, prediction } = each.value;
        yield isPart ? chunk({ content: prediction['text'] }, null) : chunk({}, reasonOf(prediction['finish']));
        if (!isPart && told?.include_usage) yield event({ choices: [], usage: usageOf(each.value) });
      }
      yield 'data: [DONE]\n\n';
    } finally {
      await answers.return?.();
    }
  }
  await reply.type('text/event-stream').header('cache-control', 'no-store').send(Readable.from(chunks()));
  return undefined;
}

/** What OpenAI calls settings of the task. */
function settingsOf({
  max_tokens,
  max_completion_tokens,
  temperature,
  top_p: topP,
  seed,
  stop,
}: Partial<z.infer<typeof request>>): Record<string, number | string[]> {
  const maxNewTokens = max_completion_tokens ?? max_tokens;
  const given = {
    maxNewTokens,
    temperature,
    topP,
    seed,
    stopStrings: stop === undefined || stop === null ? stop : [stop].flat(),
  };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === null || value === undefined ? [] : [[name, value]])),
  );
}

function reasonOf(finish: unknown): 'length' | 'stop' {
  return finish === 'length' ? 'length' : 'stop';
}

function usageOf({ tokens }: Answer): z.infer<typeof usage> | undefined {
  if (!tokens) return undefined;
  const { asked, written } = tokens;
  return { prompt_tokens: asked, completion_tokens: written, total_tokens: asked + written };
}
