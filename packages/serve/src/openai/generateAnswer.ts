/** @file Generates text for OpenAI's clients, whole or streamed. */

import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Answer } from '@onnx-lora/sdk/tasks';
import { z } from 'zod';
import type { RouteRequest } from '../http/routes.ts';
import { withAdapter, type Service } from '../http/service.ts';
import { runAs, ownerOf } from '../inference/request.ts';
import { taskAmong, wantedModel } from './models.ts';
import { refusedParameter } from './parameters.ts';
import { MOST_CHOICES, settingsOf, type SamplingParameters } from './sampling.ts';

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** Tokens of prompts, and of answers including end tokens. */
export const usage: z.ZodType<Usage> = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
});

type Finish = 'stop' | 'length';

export const finish: z.ZodType<Finish> = z.enum(['stop', 'length']);

export interface AnswerMessages {
  /** Prefix of ids: `chatcmpl`. */
  readonly id: string;
  /** Object names of an answer and of a chunk. */
  readonly objects: readonly [whole: string, piece: string];
  readonly whole: (text: string) => object;
  /** Sent before a choice's first chunk, if any. */
  readonly first?: object;
  /** A chunk of a choice; without text at its end. */
  readonly piece: (text: string | undefined) => object;
}

export interface CompletionRequest {
  readonly writing: SamplingParameters;
  readonly records: readonly object[];
  /** JSON schema of the texts, and the parameter that it came in. */
  readonly schema?: { readonly schema: object; readonly param: string } | undefined;
  readonly told: AnswerMessages;
}

/**
 * Generates and answers.
 * @returns the answer's body; undefined if streamed
 * @throws OnnxLoraError as `resolved` and the task; HttpError 400
 */
export async function generateAnswer(
  service: Service,
  { signal, caller, reply }: Pick<RouteRequest<unknown, unknown>, 'signal' | 'caller' | 'reply'>,
  { writing, records, schema, told }: CompletionRequest,
): Promise<unknown> {
  const { model, stream = false, stream_options: more, n = 1 } = writing;
  if (n * records.length > MOST_CHOICES)
    throw refusedParameter('n', `${n} answers to each of ${records.length} prompts are more than the ${MOST_CHOICES} of a request. Ask for fewer.`); // prettier-ignore
  const adapter = await withAdapter(service, wantedModel(service, model), caller);
  const task = taskAmong(service, ['chat']);
  const variant = await service.variants.get(adapter);
  const { predictor } = await variant
    .predictor({ task, settings: settingsOf(writing, schema?.schema) })
    .catch((error: unknown) => {
      // prettier-ignore
      throw schema ? blaming(schema.param, error) : error;
    });
  const lines = records.flatMap((record) => Array<string>(n).fill(JSON.stringify(record)));
  const source = Readable.from([Buffer.from(lines.join('\n'))]);
  const answers = predictor.predict([source], { signal, parts: stream })[Symbol.asyncIterator]();
  const next = (): Promise<IteratorResult<Answer>> => runAs(ownerOf(caller, {}, signal), () => answers.next());
  const about = { id: `${told.id}-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
  // The first answer comes before the headers, so that failures get a status.
  const first = await next();
  if (first.done) throw new OnnxLoraError('CANCELLED', 'The client has gone before there was an answer.');
  const used = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  if (!stream) {
    const choices: object[] = [];
    for (let each: IteratorResult<Answer> = first; !each.done; each = await next()) {
      const { text, finish: end } = each.value.prediction;
      count(used, each.value, choices.length % n === 0);
      choices.push({ index: choices.length, ...told.whole(text as string), finish_reason: reasonOf(end) });
    }
    return { ...about, object: told.objects[0], choices, usage: used };
  }
  const event = (what: object): string => `data: ${JSON.stringify({ ...about, object: told.objects[1], ...what })}\n\n`;
  const chunk = (index: number, what: object, end: Finish | null = null): string =>
    event({ choices: [{ index, ...what, finish_reason: end }] });
  async function* chunks(): AsyncGenerator<string> {
    let index = 0;
    let isBegun = false;
    try {
      for (let each: IteratorResult<Answer> = first; !each.done; each = await next()) {
        const { isPart = false, prediction } = each.value;
        if (!isBegun && told.first) yield chunk(index, told.first);
        isBegun = isPart;
        if (isPart) yield chunk(index, told.piece(prediction['text'] as string));
        else {
          count(used, each.value, index % n === 0);
          yield chunk(index++, told.piece(undefined), reasonOf(prediction['finish']));
        }
      }
      if (more?.include_usage) yield event({ choices: [], usage: used });
      yield 'data: [DONE]\n\n';
    } finally {
      await answers.return?.();
    }
  }
  await reply.type('text/event-stream').header('cache-control', 'no-store').send(Readable.from(chunks()));
  return undefined;
}

/** Counts an answer's tokens; of several answers the prompt counts once. */
function count(used: Usage, { tokens }: Answer, isFirst: boolean): void {
  if (!tokens) return;
  if (isFirst) used.prompt_tokens += tokens.asked;
  used.completion_tokens += tokens.written;
  used.total_tokens = used.prompt_tokens + used.completion_tokens;
}

function reasonOf(end: unknown): Finish {
  return end === 'length' ? 'length' : 'stop';
}

/** Attributes an error to a parameter. */
function blaming(param: string, error: unknown): unknown {
  if (!(error instanceof OnnxLoraError) || error.code !== 'CONFIG_INVALID') return error;
  return refusedParameter(param, error.message, error.code);
}
