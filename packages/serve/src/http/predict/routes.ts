/** @file `/predict`: predictions for files or records. */

import type { Prediction } from '@onnx-lora/sdk/tasks';
import { z } from 'zod';
import { answersAbout } from './answers.ts';
import { jsonBody } from '../json.ts';
import { type RouteRequest, type Route, route } from '../routes.ts';
import { withAdapter, type Service } from '../service.ts';
import { bareType, sentForm, type SentForm } from './uploadedFiles.ts';

const query = z.object({
  adapter: z.string().optional().describe('the adapter that answers; the base alone without one'),
  version: z.string().optional(),
  sticky: z.string().max(1000).optional(),
});
type Query = z.infer<typeof query>;

const record = z.record(z.string(), z.unknown());
const records = z.object({ records: z.array(record).min(1).max(10_000).describe('rows of a table, by their columns') });

/** Predictions of a task. */
export interface PredictAnswer {
  /** Name of the base. */
  readonly model: string;
  /** The adapter that answered; null for the base. */
  readonly adapter: { readonly name: string; readonly version: string; readonly digest: string } | null;
  /** Name of the task. */
  readonly task: string;
  /** Predictions in the order of files or records. */
  readonly predictions: readonly Readonly<Record<string, unknown>>[];
}

const answer: z.ZodType<PredictAnswer> = z.object({
  model: z.string(),
  adapter: z.object({ name: z.string(), version: z.string(), digest: z.string() }).nullable(),
  task: z.string(),
  predictions: z.array(record).describe('an answer for each file or record, in their order'),
});

/** The route. */
export function predictRoutes(service: Service): Route[] {
  return [
    route({
      method: 'POST',
      url: '/predict',
      summary: 'what the model says of files: images, recordings, sequences, texts',
      query,
      body: {
        'multipart/form-data': 'files, and the fields of the query',
        'application/octet-stream': 'a file alone, of whatever content type',
        'application/json': records,
      },
      answer,
      isComputed: true,
      handle: (asked) => predicted(service, asked),
    }),
  ];
}

async function predicted(
  service: Service,
  { query: asked, body, request, caller, signal }: RouteRequest<unknown, Query>,
): Promise<PredictAnswer> {
  const form = await formOf(body, request.headers['content-type']);
  const { fields } = form;
  const adapter = await withAdapter(
    service,
    {
      adapter: asked.adapter ?? fields['adapter'],
      version: asked.version ?? fields['version'],
      sticky: asked.sticky ?? fields['sticky'],
    },
    caller,
  );
  const { task, predictions } = await answersAbout(service, adapter, form.files, { caller, signal });
  return {
    model: service.name,
    adapter: adapter && { name: adapter.name, version: adapter.version, digest: adapter.digest },
    task,
    predictions: predictions.map((each) => asJson(each) as Prediction),
  };
}

/** Turns JSON records into a JSON Lines file. */
async function formOf(body: Buffer, contentType: string | undefined): Promise<SentForm> {
  if (bareType(contentType) !== 'application/json') return sentForm(body, contentType);
  const lines = (await jsonBody(records, body)).records.map((each) => JSON.stringify(each));
  return {
    files: [{ name: 'records.jsonl', type: 'application/x-ndjson', bytes: Buffer.from(lines.join('\n')) }],
    fields: {},
  };
}

/** Converts to JSON: pictures to data URLs, typed arrays to lists. */
function asJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return `data:image/png;base64,${Buffer.from(value).toString('base64')}`;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, asJson(each)]));
}
