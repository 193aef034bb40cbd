/** @file OpenAI-compatible routes: embeddings, transcriptions, completions, models. */

import { z } from 'zod';
import { answersAbout } from '../http/predict/answers.ts';
import { type RouteRequest, type Route, route } from '../http/routes.ts';
import { withAdapter, type Service } from '../http/service.ts';
import { type SentFile, sentForm } from '../http/predict/uploadedFiles.ts';
import { chatRoute } from './chat.ts';
import { completionsRoute } from './completions.ts';
import { modelRoutes, taskAmong, wantedModel } from './models.ts';
import {
  ignoredParameters,
  type OtherParameters,
  parametersOf,
  refusedParameter,
  checkedParameters,
} from './parameters.ts';

const MOST_TEXTS = 2048;

const embeddingOthers: OtherParameters = { ...ignoredParameters, dimensions: [] };
const embeddingRequest = z.object({
  model: z.string().describe('the base, "base:adapter", or an adapter alone'),
  input: z.union([z.string(), z.array(z.string()).min(1).max(MOST_TEXTS)]).describe('texts, or sequences'),
  encoding_format: z.enum(['float', 'base64']).optional(),
});

const embeddings = z.object({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.string().describe('float32, little-endian, in base64')]),
    }),
  ),
});

/** The routes. */
export function openAiRoutes(service: Service): Route[] {
  return [
    ...modelRoutes(service),
    route({
      method: 'POST',
      url: '/v1/embeddings',
      summary: 'vectors of texts',
      body: { 'application/json': embeddingRequest },
      answer: embeddings,
      isComputed: true,
      handle: (asked) => embedded(service, asked),
    }),
    route({
      method: 'POST',
      url: '/v1/audio/transcriptions',
      summary: 'what is said in a recording',
      body: { 'multipart/form-data': 'file, model; language, response_format (json or text)' },
      answer: z.object({ text: z.string() }),
      isComputed: true,
      handle: (asked) => transcribed(service, asked),
    }),
    chatRoute(service),
    completionsRoute(service),
  ];
}

async function embedded(service: Service, asked: RouteRequest<unknown, unknown>): Promise<z.infer<typeof embeddings>> {
  const { model, input, encoding_format: format = 'float' } = await parametersOf(embeddingRequest, embeddingOthers, asked.body); // prettier-ignore
  const adapter = await withAdapter(service, wantedModel(service, model), asked.caller);
  const task = taskAmong(service, ['text-embedding', 'sequence-embedding']);
  const column = task.startsWith('text') ? 'text' : 'sequence';
  const lines = [input].flat().map((text) => JSON.stringify({ [column]: text }));
  const file: SentFile = { name: 'input', type: 'application/x-ndjson', bytes: Buffer.from(lines.join('\n')) };
  const { predictions } = await answersAbout(service, adapter, [file], asked, { task });
  const data = predictions.map(({ embedding }, index) => {
    const values = Float32Array.from(embedding as ArrayLike<number>);
    const vector = format === 'float' ? [...values] : Buffer.from(values.buffer).toString('base64');
    return { object: 'embedding' as const, index, embedding: vector };
  });
  return { object: 'list', model, data };
}

const transcriptionRequest = z.object({
  model: z.string().optional(),
  language: z.string().optional(),
  response_format: z.enum(['json', 'text']).optional(),
});
const transcriptionOthers: OtherParameters = {
  ...ignoredParameters,
  // Form values are strings.
  temperature: ['0'],
  stream: ['false'],
  prompt: [''],
};

async function transcribed(service: Service, asked: RouteRequest<unknown, unknown>): Promise<unknown> {
  const { files, fields } = sentForm(asked.body, asked.request.headers['content-type']);
  const { model = service.name, language, response_format: format = 'json' } = checkedParameters(transcriptionRequest, transcriptionOthers, fields); // prettier-ignore
  if (files.length !== 1) throw refusedParameter('file', `${files.length} files were sent. Send one recording.`);
  const adapter = await withAdapter(service, wantedModel(service, model), asked.caller);
  const task = taskAmong(service, ['speech-recognition']);
  const settings = language === undefined ? {} : { settings: { language } };
  const { predictions } = await answersAbout(service, adapter, files, asked, { task, ...settings });
  const text = (predictions[0]?.['text'] ?? '') as string;
  if (format === 'json') return { text };
  asked.reply.type('text/plain; charset=utf-8');
  return text;
}
