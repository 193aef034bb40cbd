/** @file Generates OpenAPI from the routes' schemas. */

import { z } from 'zod';
import type { Route } from './routes.ts';

type Json = Record<string, unknown>;

const failure = {
  description: 'a failure',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['error', 'code'],
        properties: {
          error: { type: 'string', description: 'what failed, expected and found, and a remedy' },
          code: { type: 'string', description: 'for programs' },
        },
      },
    },
  },
};

/** OpenAPI 3.1 of these routes. */
export function openApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const each of routes) {
    const url = each.url.replaceAll(/:(\w+)/g, '{$1}');
    (paths[url] ??= {})[each.method.toLowerCase()] = operation(each);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'onnx-lora', version, description: 'One base model and any number of adapters.' },
    paths,
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
  };
}

function operation(route: Route): Json {
  const { method, url, summary, params, query, body, answer, answerType = 'application/json', access } = route;
  const parameters = [...inputs(params, 'path', url), ...inputs(query, 'query', url)];
  const content = Object.entries(body ?? {}).map(([type, schema]) => [type, { schema: schemaOf(schema) }] as const);
  const ok = { description: 'done', ...(answer && { content: { [answerType]: { schema: schemaOf(answer) } } }) };
  return {
    summary,
    operationId: `${method.toLowerCase()}${url.replaceAll(/[^A-Za-z0-9]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    ...(parameters.length > 0 && { parameters }),
    ...(content.length > 0 && { requestBody: { required: true, content: Object.fromEntries(content) } }),
    responses: { 200: ok, default: failure },
    security: access === 'open' ? [] : [{ key: [] }],
  };
}

/** Parameters of path or query; of a path only those in the URL. */
function inputs(schema: z.ZodType | undefined, place: 'path' | 'query', url: string): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = schemaOf(schema) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties)
    .filter(([name]) => place === 'query' || url.split('/').includes(`:${name}`))
    .map(([name, { description, ...own }]) => ({
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(description !== undefined && { description }),
      schema: own,
    }));
}

function schemaOf(schema: z.ZodType | string): Json {
  if (typeof schema === 'string') return { type: 'string', format: 'binary', description: schema };
  const { $schema: _, ...own } = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }) as Json;
  return own;
}
