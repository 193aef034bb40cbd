/** @file Tests of the routes that OpenAI's clients ask, by fetch, and with that client where ONNX_LORA_OPENAI names its folder. */

import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import { type Adapter, loadPlugins, type Model, openModel, openPredictor } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { randomAdapter } from '@onnx-lora/testing';
import { serve, type Server } from '@onnx-lora/serve';
import { speechPlugin } from '@onnx-lora/speech';
import { textPlugin } from '@onnx-lora/text';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { speechFiles } from '../docs/fences/speech.ts';

const plugins = loadPlugins([textPlugin, speechPlugin]);
const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-serve-openai-'));
const texts = ['A cat sat on the mat.', 'Where is my parcel?', 'No.'];

let server: Server;
let vectors: Record<'base' | 'odd', number[][]>;

beforeAll(async () => {
  const model = await openModel(fileURLToPath(new URL('../docs/examples/models/minilm-tiny', import.meta.url)), {
    plugins,
  });
  const adapter = await randomAdapter(model, { seed: 2 });
  await adapter.save(path.join(folder, 'runs', 'odd'));
  const vectorsOf = async (own: object): Promise<number[][]> => {
    await using predictor = await openPredictor(model, { task: 'text-embedding', ...own });
    const found: number[][] = [];
    const file = path.join(folder, 'texts.txt');
    writeFileSync(file, texts.join('\n'));
    for await (const { prediction } of predictor.predict([file]))
      found.push([...(prediction['embedding'] as Float32Array)]);
    return found;
  };
  vectors = { base: await vectorsOf({}), odd: await vectorsOf({ adapter }) };
  server = await serve(model, { adapters: path.join(folder, 'runs'), port: 0 });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const expectClose = (found: readonly ArrayLike<number>[], expected: readonly number[][]): void => {
  expect(found).toHaveLength(expected.length);
  for (const [i, each] of found.entries())
    for (const [j, value] of expected[i]!.entries()) expect(each[j]).toBeCloseTo(value, 4);
};
const post = async (body: object): Promise<{ status: number; json: Record<string, unknown> }> => {
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
};

describe('/v1/embeddings', () => {
  it('gives the vectors of the task, of the base and of an adapter', async () => {
    for (const [model, expected] of [
      ['minilm-tiny', vectors.base],
      ['minilm-tiny:odd', vectors.odd],
      ['odd', vectors.odd],
    ] as const) {
      const { json } = await post({ model, input: texts });
      expectClose((json['data'] as { embedding: number[] }[]).map(({ embedding }) => embedding), expected); // prettier-ignore
    }
    const { json } = await post({ model: 'odd', input: texts[1], encoding_format: 'base64' });
    const [{ embedding }] = json['data'] as [{ embedding: string }];
    expectClose([new Float32Array(Uint8Array.from(Buffer.from(embedding, 'base64')).buffer)], [vectors.odd[1]!]);
  });

  it('refuses a text that would take long to be made tokens, before it is', async () => {
    const text = 'cat '.repeat(2 ** 16 + 1);
    const refused = { status: 400, json: { error: { code: 'DATA_INVALID', message: expect.stringContaining('262147 letters') } } }; // prettier-ignore
    expect(await post({ model: 'odd', input: text })).toMatchObject(refused);
    expect(await post({ model: 'odd', input: text.slice(4) })).toMatchObject({ status: 200 });
  });

  it('tells which models there are, and of one', async () => {
    const one = async (name: string): Promise<unknown> => (await fetch(`${server.url}/v1/models${name}`)).json();
    const { data } = (await one('')) as { data: unknown[] };
    expect(data).toMatchObject([
      { id: 'minilm-tiny', parent: null },
      { id: 'minilm-tiny:odd', parent: 'minilm-tiny' },
    ]);
    for (const [i, name] of ['minilm-tiny', 'minilm-tiny:odd'].entries())
      expect(await one(`/${name}`)).toEqual(data[i]);
    expect(await one('/none')).toMatchObject({ error: { type: 'invalid_request_error', code: 'FILE_NOT_FOUND' } });
  });

  it('refuses with errors of one form on every route', async () => {
    const asked = [
      ['GET', '/v1/none', 404],
      ['PUT', '/v1/embeddings', 405],
      ['GET', '/v1/chat/completions', 405],
      ['POST', '/v1/embeddings', 400],
      ['POST', '/v1/chat/completions', 400],
      ['POST', '/v1/completions', 400],
      ['POST', '/v1/audio/transcriptions', 400],
    ] as const;
    for (const [method, url, status] of asked) {
      const answer = await fetch(`${server.url}${url}`, { method });
      expect([url, answer.status, await answer.json()]).toEqual([url, status, { error: { message: expect.any(String), type: 'invalid_request_error', param: null, code: expect.any(String) } }]); // prettier-ignore
    }
    const key = [{ tenant: 'a', sha256: '0'.repeat(64) }];
    const model = await openModel(fileURLToPath(new URL('../docs/examples/models/minilm-tiny', import.meta.url)), { plugins }); // prettier-ignore
    await using locked = await serve(model, { port: 0, keys: key });
    const answer = await fetch(`${locked.url}/v1/models`);
    expect([answer.status, await answer.json()]).toMatchObject([401, { error: { type: 'authentication_error' } }]);
  });

  it('refuses as OpenAI does', async () => {
    expect(await post({ model: 'none', input: 'a' })).toMatchObject({ status: 404, json: { error: { message: expect.stringContaining('"none"'), code: 'FILE_NOT_FOUND' } } }); // prettier-ignore
    expect(await post({ model: 'odd', input: [[1, 2]] })).toMatchObject({ status: 400, json: { error: { code: 'INPUT_INVALID' } } }); // prettier-ignore
    const form = new FormData();
    form.append('file', new Blob(['x']), 'a.wav');
    const answer = await fetch(`${server.url}/v1/audio/transcriptions`, { method: 'POST', body: form });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: 'MODEL_UNSUPPORTED' } }]);
  });
});

/** A model of speech, a recording, and what is said in it. */
async function recording(): Promise<{ model: Model; file: string; said: (adapter?: Adapter) => Promise<unknown> }> {
  const whisper = path.join(folder, 'whisper');
  const file = path.join(folder, 'call.wav');
  await speechFiles['models/whisper-tiny.en']!(whisper);
  await speechFiles['call.wav']!(file);
  const model = await openModel(whisper, { plugins });
  const said = async (adapter?: Adapter): Promise<unknown> => {
    await using predictor = await openPredictor(model, withoutUndefined({ adapter }));
    for await (const { prediction } of predictor.predict([file])) return prediction['text'];
    return undefined;
  };
  return { model, file, said };
}

describe('/v1/audio/transcriptions', () => {
  it('says what is said', async () => {
    const { model, file, said: expected } = await recording();
    const said = await expected();
    await using calls = await serve(model, { port: 0 });
    const ask = async (format: string): Promise<string> => {
      const form = new FormData();
      form.append('file', new Blob([readFileSync(file)]), 'call.wav');
      form.append('model', calls.model);
      form.append('response_format', format);
      return (await fetch(`${calls.url}/v1/audio/transcriptions`, { method: 'POST', body: form })).text();
    };
    expect(said).toMatch(/\w/);
    expect(JSON.parse(await ask('json'))).toEqual({ text: said });
    expect(await ask('text')).toBe(said);
  });
});

describe('/v1/chat/completions', () => {
  it('answers whole, and piece by piece', async () => {
    const llama = await openModel(fileURLToPath(new URL('../docs/examples/models/llama-tiny', import.meta.url)), {
      plugins,
    });
    await using chat = await serve(llama, { port: 0, drainTimeout: 600_000 });
    const messages = [{ role: 'user', content: 'In the beginning' }];
    await using predictor = await openPredictor(llama, { settings: { maxNewTokens: 12 } });
    const asked = path.join(folder, 'asked.jsonl');
    writeFileSync(asked, JSON.stringify({ messages }));
    let expected: unknown;
    for await (const { prediction } of predictor.predict([asked])) expected = prediction['text'];
    expect(expected).toMatch(/\w/);
    const ask = (more: object): Promise<Response> =>
      fetch(`${chat.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ model: chat.model, messages, max_tokens: 12, ...more }) }); // prettier-ignore
    const read = (name: string): object => JSON.parse(readFileSync(path.join(llama.folder!, name), 'utf8')) as object;
    const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
    const turns = '<s><|im_start|>user\nIn the beginning<|im_end|>\n<|im_start|>assistant\n';
    const [promptTokens, written] = [tokenizer.encode(turns, { add_special_tokens: false }).ids.length, 12];
    const usage = { prompt_tokens: promptTokens, completion_tokens: written, total_tokens: promptTokens + written };
    expect(await (await ask({})).json()).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: expected }, finish_reason: 'length' }],
      usage,
    });
    const streamed = await ask({ stream: true });
    expect(streamed.headers.get('content-type')).toBe('text/event-stream');
    const lines = (await streamed.text())
      .trim()
      .split('\n\n')
      .map((line) => line.replace('data: ', ''));
    expect(lines.at(-1)).toBe('[DONE]');
    const chunks = lines.slice(0, -1).map((line) => (JSON.parse(line) as { choices: [{ delta: { content?: string }; finish_reason: string | null }] }).choices[0]); // prettier-ignore
    expect(chunks.map(({ delta }) => delta.content ?? '').join('')).toBe(expected);
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunks.at(-1)!.finish_reason).toBe('length');
    const counted = await (await ask({ stream: true, stream_options: { include_usage: true } })).text();
    expect(JSON.parse(counted.trim().split('\n\n').at(-2)!.replace('data: ', ''))).toMatchObject({
      choices: [],
      usage,
    });
    expect(await (await ask({ stream: true, messages: [{ role: 'assistant', content: 'a' }] })).json()).toMatchObject({ error: { code: 'DATA_INVALID' } }); // prettier-ignore
    // Several answers, drawn from seeds that count on, are those of each seed.
    const drawn = { temperature: 2, seed: 5 };
    type Answers = { readonly choices: { index: number; message: { content: string } }[]; readonly usage: object };
    const answersOf = async (more: object): Promise<Answers> => (await (await ask(more)).json()) as Answers;
    const several = await answersOf({ ...drawn, n: 3 });
    const singly = await Promise.all([5, 6, 7].map((seed) => answersOf({ ...drawn, seed })));
    const said = singly.map(({ choices: [one] }) => one!.message.content);
    expect(several.choices.map(({ message }) => message.content)).toEqual(said);
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(said).size).toBeGreaterThan(1);
    expect(several.usage).toMatchObject({ prompt_tokens: promptTokens });
    const pieces = (await (await ask({ ...drawn, n: 3, stream: true })).text()).trim().split('\n\n').slice(0, -1);
    const told = ['', '', ''];
    for (const piece of pieces) {
      const [{ index, delta }] = (JSON.parse(piece.slice(6)) as { choices: [{ index: number; delta: { content?: string } }] }).choices; // prettier-ignore
      told[index] += delta.content ?? '';
    }
    expect(told).toEqual(said);
    // OpenAI's defaults, sent explicitly, change nothing.
    const usual = { top_p: 1, n: 1, frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, logprobs: false, store: false, user: 'u', metadata: { a: 'b' }, tools: [], response_format: { type: 'text' }, stop: null }; // prettier-ignore
    expect((await answersOf(usual)).choices[0]!.message.content).toBe(expected);
    expect((await answersOf({ temperature: 0, top_p: 0.1, seed: 9 })).choices[0]!.message.content).toBe(expected);
    const parts = [
      { type: 'text', text: 'In the ' },
      { type: 'text', text: 'beginning' },
    ];
    const again = [{ role: 'user', content: parts, name: 'me' }];
    expect((await answersOf({ messages: again })).choices[0]!.message.content).toBe(expected);
    const completion = async (more: object): Promise<{ choices: { text: string }[]; usage: object }> =>
      (await (await fetch(`${chat.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ model: chat.model, ...more }) })).json()) as never; // prettier-ignore
    const goesOn = { prompt: ['In the', 'And God'], max_tokens: 5 };
    const whole = await completion(goesOn);
    expect(whole).toMatchObject({ object: 'text_completion', choices: [{ index: 0 }, { index: 1, finish_reason: 'length' }], usage: { completion_tokens: 10 } }); // prettier-ignore
    const texts = whole.choices.map(({ text }) => text);
    for (const [i, prompt] of goesOn.prompt.entries())
      expect((await completion({ prompt, max_tokens: 5 })).choices[0]!.text).toBe(texts[i]);
    const schema = { type: 'object', properties: { name: { type: 'string', maxLength: 5 }, is: { type: 'boolean' } }, required: ['name', 'is'], additionalProperties: false }; // prettier-ignore
    const jsonOf = async (more: object): Promise<unknown> =>
      JSON.parse((await answersOf({ max_tokens: 80, ...more })).choices[0]!.message.content);
    const kept = { name: expect.any(String), is: expect.any(Boolean) };
    expect(await jsonOf({ response_format: { type: 'json_schema', json_schema: { name: 'a', strict: true, schema } } })).toEqual(kept); // prettier-ignore
    const tools = [{ type: 'function', function: { name: 'note', parameters: schema } }];
    const call = await answersOf({ max_tokens: 80, tools, tool_choice: { type: 'function', function: { name: 'note' } } }); // prettier-ignore
    const [{ message: { tool_calls: [{ function: made }] } }] = call.choices as unknown as [{ message: { tool_calls: [{ function: { name: string; arguments: string } }] } }]; // prettier-ignore
    expect([made.name, JSON.parse(made.arguments)]).toEqual(['note', kept]);
    const anything = await answersOf({ max_tokens: 40, response_format: { type: 'json_object' } });
    expect(anything.choices[0]!.message.content.trimStart()).toMatch(/^\{/);
    const refused = [
      [{ tools }, 'tool_choice'],
      [{ frequency_penalty: 0.5 }, 'frequency_penalty'],
      [{ logprobs: true }, 'logprobs'],
      [{ top_k: 3 }, 'top_k'],
      [{ store: true }, 'store'],
      [{ temperature: 3 }, 'temperature'],
      [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }, 'messages.0.content'], // prettier-ignore
      [{ response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'string', pattern: 'a' } } } }, 'response_format'], // prettier-ignore
    ] as const;
    for (const [more, param] of refused) {
      const answer = await ask(more);
      expect([answer.status, await answer.json()]).toMatchObject([400, { error: { type: 'invalid_request_error', param: expect.stringContaining(param), message: expect.any(String) } }]); // prettier-ignore
    }
    const long = [{ role: 'user', content: 'cat '.repeat(10_000) }];
    expect(await (await ask({ messages: long })).json()).toMatchObject({ error: { message: expect.stringContaining('at most 32768 are read at once') } }); // prettier-ignore
    // A server that ends says all that it was asked for.
    const going = Array.from({ length: 3 }, () => ask({ stream: true, max_tokens: 40 }));
    await Promise.race(going);
    const closing = chat.close();
    for (const answer of await Promise.all(going))
      expect(await answer.text()).toMatch(/"finish_reason":"(stop|length)"/);
    await closing;
  });
});

const client = process.env['ONNX_LORA_OPENAI'];

describe.skipIf(client === undefined)("OpenAI's own client", () => {
  interface Chat {
    readonly choices: [
      { readonly message: { readonly content: string }; readonly delta: { readonly content?: string } },
    ];
  }
  interface OpenAi {
    readonly models: { list(): Promise<{ readonly data: readonly { readonly id: string }[] }> };
    readonly chat: { readonly completions: { create(body: object): Promise<Chat & AsyncIterable<Chat>> } };
    readonly embeddings: {
      create(body: object): Promise<{ readonly data: readonly { readonly embedding: number[] }[] }>;
    };
    readonly audio: { readonly transcriptions: { create(body: object): Promise<unknown> } };
  }
  const of = async ({ url }: Server): Promise<OpenAi> => {
    const entry = pathToFileURL(path.join(client!, 'index.mjs')).href;
    const { default: OpenAI } = (await import(entry)) as { default: new (options: object) => OpenAi };
    return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  };

  it('lists models and embeds', async () => {
    const openai = await of(server);
    const { data: models } = await openai.models.list();
    expect(models.map(({ id }) => id)).toEqual(['minilm-tiny', 'minilm-tiny:odd']);
    const { data } = await openai.embeddings.create({ model: 'minilm-tiny:odd', input: texts });
    expectClose(data.map(({ embedding }) => embedding), vectors.odd); // prettier-ignore
    await expect(openai.embeddings.create({ model: 'none', input: 'a' })).rejects.toThrow('There is no adapter "none"');
  });

  it('talks, whole and piece by piece', async () => {
    const llama = await openModel(fileURLToPath(new URL('../docs/examples/models/llama-tiny', import.meta.url)), {
      plugins,
    });
    await using chat = await serve(llama, { port: 0, drainTimeout: 600_000 });
    const talk = await of(chat);
    const asked = { model: chat.model, messages: [{ role: 'user', content: 'In the beginning' }], max_tokens: 12 };
    const { choices } = await talk.chat.completions.create(asked);
    let said = '';
    const pieces = await talk.chat.completions.create({ ...asked, stream: true });
    for await (const piece of pieces) said += piece.choices[0].delta.content ?? '';
    expect(said).toBe(choices[0].message.content);
  });

  it('has JSON written by a schema, as LangChain asks for it too', async () => {
    const llama = await openModel(fileURLToPath(new URL('../docs/examples/models/llama-tiny', import.meta.url)), { plugins }); // prettier-ignore
    await using chat = await serve(llama, { port: 0, drainTimeout: 600_000 });
    const schema = { title: 'note', type: 'object', properties: { name: { type: 'string', maxLength: 5 }, is: { type: 'boolean' } }, required: ['name', 'is'], additionalProperties: false }; // prettier-ignore
    const kept = { name: expect.any(String), is: expect.any(Boolean) };
    const talk = await of(chat);
    const asked = { model: chat.model, messages: [{ role: 'user', content: 'In the beginning' }], max_tokens: 80 };
    const format = { type: 'json_schema', json_schema: { name: 'note', strict: true, schema } };
    const { choices } = await talk.chat.completions.create({ ...asked, response_format: format });
    expect(JSON.parse(choices[0].message.content)).toEqual(kept);
    await expect(talk.chat.completions.create({ ...asked, logprobs: true })).rejects.toMatchObject({ status: 400, param: 'logprobs' }); // prettier-ignore
    interface LangChain {
      withStructuredOutput(schema: object, how?: object): { invoke(text: string): Promise<unknown> };
      bindTools(tools: readonly object[]): { invoke(text: string): Promise<unknown> };
    }
    const entry = pathToFileURL(path.join(client!, '../@langchain/openai/dist/index.js')).href;
    const { ChatOpenAI } = (await import(entry)) as { ChatOpenAI: new (options: object) => LangChain };
    const chain = new ChatOpenAI({ model: chat.model, apiKey: 'none', maxTokens: 80, maxRetries: 0, configuration: { baseURL: `${chat.url}/v1` } }); // prettier-ignore
    for (const how of [{}, { method: 'jsonSchema' }, { method: 'functionCalling' }])
      expect(await chain.withStructuredOutput(schema, how).invoke('In the beginning')).toEqual(kept);
    const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } };
    await expect(chain.bindTools([tool]).invoke('In the beginning')).rejects.toThrow('Nothing here decides which function'); // prettier-ignore
  });

  it('has a recording transcribed, by the base and by an adapter', async () => {
    const { model, file, said } = await recording();
    const adapter = await randomAdapter(model, { seed: 4 });
    const runs = path.join(folder, 'calls');
    await adapter.save(path.join(runs, 'odd'));
    await using calls = await serve(model, { adapters: runs, port: 0 });
    const { audio } = await of(calls);
    const ask = (name: string, more: object = {}): Promise<unknown> =>
      audio.transcriptions.create({ file: createReadStream(file), model: name, ...more });
    expect(await ask(calls.model)).toEqual({ text: await said() });
    expect(await ask(calls.model, { response_format: 'text' })).toBe(await said());
    expect(await ask(`${calls.model}:odd`)).toEqual({ text: await said(adapter) });
    await expect(ask('none')).rejects.toMatchObject({ status: 404, message: expect.stringContaining('"none"') });
  });
});
