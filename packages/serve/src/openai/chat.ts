/** @file `/v1/chat/completions`: chat answers, optionally streamed or as JSON by a schema. */

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type RouteRequest, type Route, route } from '../http/routes.ts';
import type { Service } from '../http/service.ts';
import {
  ignoredParameters,
  type OtherParameters,
  parametersOf,
  refusedParameter,
  checkedParameters,
} from './parameters.ts';
import { ignoredSampling, samplingSchema } from './sampling.ts';
import { type CompletionRequest, finish, type AnswerMessages, usage, generateAnswer } from './generateAnswer.ts';

const part = z.strictObject({ type: z.literal('text', { error: 'only parts of the type "text" are read' }), text: z.string() }); // prettier-ignore
const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'developer', 'tool']),
  content: z.union([z.string(), z.array(part).min(1)], { error: 'give a text, or a list of parts of the type "text"' }),
});
/** Fields of echoed answers, and names, which no template uses. */
const messageOthers: OtherParameters = {
  name: 'ignored',
  refusal: [],
  audio: [],
  annotations: [[]],
  tool_calls: [[]],
  function_call: [],
};

const schemaOf = z.record(z.string(), z.unknown());
const tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string().min(1).max(64),
    description: z.string().optional(),
    parameters: schemaOf.optional(),
    strict: z.boolean().nullish(),
  }),
});
type Tool = z.infer<typeof tool>;

const request = z.object({
  ...samplingSchema,
  messages: z.array(z.record(z.string(), z.unknown())).min(1).max(10_000),
  max_completion_tokens: samplingSchema.max_tokens,
  response_format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema: schemaOf }) }),
    ])
    .optional(),
  tools: z.array(tool).max(128).optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
    ])
    .optional(),
});
type Request = z.infer<typeof request>;

const others: OtherParameters = {
  ...ignoredParameters,
  ...ignoredSampling,
  logprobs: [false],
  top_logprobs: [],
  parallel_tool_calls: 'ignored',
  functions: [[]],
  function_call: ['none'],
  modalities: [['text']],
  audio: [],
  prediction: [],
  reasoning_effort: ['none'],
  verbosity: ['medium'],
  web_search_options: [],
};

const called = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
const completion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(called).optional(),
      }),
      finish_reason: finish,
    }),
  ),
  usage,
});

/** The route. */
export function chatRoute(service: Service): Route {
  return route({
    method: 'POST',
    url: '/v1/chat/completions',
    summary: 'answers to a conversation; with "stream", piece by piece',
    body: { 'application/json': request },
    answer: completion,
    isComputed: true,
    handle: (asked) => answered(service, asked),
  });
}

async function answered(service: Service, asked: RouteRequest<unknown, unknown>): Promise<unknown> {
  const given = await parametersOf(request, others, asked.body);
  const messages = given.messages.map((each, i) => {
    const { role, content } = checkedParameters(message, messageOthers, each, `messages.${i}.`);
    const text = typeof content === 'string' ? content : content.map((piece) => piece.text).join('');
    return { role: role === 'developer' ? 'system' : role, content: text };
  });
  const tools = given.tools?.length ? { tools: given.tools } : {};
  const forced = forcedTool(given);
  return generateAnswer(service, asked, {
    writing: { ...given, max_tokens: given.max_completion_tokens ?? given.max_tokens },
    records: [{ messages, ...tools }],
    schema: forced ? { schema: forced.function.parameters ?? nothing, param: 'tools' } : formatOf(given),
    told: forced ? callOf(forced) : textOf,
  });
}

const nothing = { type: 'object', properties: {} };

/** A schema of any JSON object. */
const anyObject = {
  type: 'object',
  additionalProperties: { $ref: '#/$defs/value' },
  $defs: {
    value: {
      anyOf: [
        { type: ['string', 'number', 'boolean', 'null'] },
        { type: 'array', items: { $ref: '#/$defs/value' } },
        { type: 'object', additionalProperties: { $ref: '#/$defs/value' } },
      ],
    },
  },
};

function formatOf({ response_format: format }: Request): CompletionRequest['schema'] {
  if (format === undefined || format.type === 'text') return undefined;
  return { schema: format.type === 'json_object' ? anyObject : format.json_schema.schema, param: 'response_format' };
}

/** The function to call. @throws HttpError 400 where the model would choose the function */
function forcedTool({ tools = [], tool_choice: given }: Request): Tool | undefined {
  const choice = given ?? (tools.length > 0 ? 'auto' : 'none');
  if (choice === 'none' || (choice === 'auto' && tools.length === 0)) return undefined;
  if (choice === 'required' && tools.length === 1) return tools[0];
  if (typeof choice === 'string')
    throw refusedParameter(
      'tool_choice',
      `Nothing here decides which function is called (tool_choice "${choice}"). Name the one: {"type": "function", "function": {"name": …}}; or ask for JSON by response_format.`,
      'unsupported_parameter',
    );
  const found = tools.find((each) => each.function.name === choice.function.name);
  if (found) return found;
  throw refusedParameter('tool_choice', `There is no function "${choice.function.name}" among the tools. Name one of them.`); // prettier-ignore
}

const chat = { id: 'chatcmpl', objects: ['chat.completion', 'chat.completion.chunk'] } as const;

const textOf: AnswerMessages = {
  ...chat,
  whole: (content) => ({ message: { role: 'assistant', content, refusal: null }, logprobs: null }),
  first: { delta: { role: 'assistant', content: '' } },
  piece: (content) => ({ delta: content === undefined ? {} : { content } }),
};

/** Formats text as a function's arguments. */
function callOf({ function: { name } }: Tool): AnswerMessages {
  const call = (given: string): object => ({ id: `call_${randomUUID()}`, type: 'function', function: { name, arguments: given } }); // prettier-ignore
  return {
    ...chat,
    whole: (text) => ({
      message: { role: 'assistant', content: null, refusal: null, tool_calls: [call(text)] },
      logprobs: null,
    }),
    get first() {
      return { delta: { role: 'assistant', content: null, tool_calls: [{ index: 0, ...call('') }] } };
    },
    piece: (text) => ({
      delta: text === undefined ? {} : { tool_calls: [{ index: 0, function: { arguments: text } }] },
    }),
  };
}
