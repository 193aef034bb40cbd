/** @file A tiny decoder writes what PyTorch writes with it; and what may be asked of it. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, float32, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { openTokenizer } from '@onnx-lora/sequences';
import { beforeAll, describe, expect, it } from 'vitest';
import golden from '../fixtures/tinyDecoder/golden.json' with { type: 'json' };
import { openConversation } from './conversation.ts';
import { openGenerator } from './openGenerator.ts';
import type { TextGenerator, TextPiece } from './textGenerator.ts';
import { TextPieces } from './writing.ts';

const fixture = fileURLToPath(new URL('../fixtures/tinyDecoder/', import.meta.url));
const load = { provider: 'cpu', threads: 1, worker: false } as const;
const { prompts, base, tuned } = golden;

let model: Model;
let adapter: Adapter;
beforeAll(async () => {
  model = await openModel(fixture);
  adapter = await loadAdapter(path.join(fixture, 'adapter'));
});

const opened = (of: RunnableModel = model): Promise<TextGenerator> => openGenerator(of, { ...load, adapters: { tuned: adapter } }); // prettier-ignore

/** The model, and how many tokens each of its runs was fed. */
function counted(fed: number[]): RunnableModel {
  const watched = (of: Model): Model =>
    new Proxy(of, {
      get: (target, key) => {
        if (key === 'derived') return (...given: Parameters<Model['derived']>) => watched(target.derived(...given));
        if (key !== 'session') return Reflect.get(target, key, target) as unknown;
        return async (options: object) => {
          const session = await target.session(options);
          const run = session.run.bind(session);
          session.run = (feeds, how) => {
            fed.push((feeds as { readonly input_ids: Tensor }).input_ids.dims[1]!);
            return run(feeds, how);
          };
          return session;
        };
      },
    });
  return watched(model);
}

describe('writes what PyTorch writes without a cache', () => {
  it.each([['base', null, base], ['tuned', 'tuned', tuned]] as const)('%s', async (_, own, wanted) => {
    await using generator = await opened();
    for (const [i, ids] of prompts.entries())
      expect((await generator.complete(ids, { adapter: own })).tokens).toEqual(wanted[i]);
  }); // prettier-ignore

  it('rows of other lengths as one batch, each with an adapter and a length of its own', async () => {
    await using generator = await opened();
    const found = await generator.complete([
      { prompt: prompts[0]!, adapter: 'tuned' },
      { prompt: prompts[1]!, maxNewTokens: 5 },
      { prompt: prompts[2]!, adapter: 'tuned', maxNewTokens: 9 },
      prompts[3]!,
    ]);
    expect(found.map(({ tokens }) => tokens)).toEqual([tuned[0], base[1]!.slice(0, 5), tuned[2]!.slice(0, 9), base[3]]);
    expect(found.map(({ finish }) => finish)).toEqual(Array(4).fill('length'));
  });

  it('where the graph keeps nothing', async () => {
    const nothing = float32([], [1, 2, 0, 8]);
    const fixedInputs = { 'past_key_values.0.key': nothing, 'past_key_values.0.value': nothing };
    await using generator = await opened(await openModel(fixture, { fixedInputs }));
    expect((await generator.complete(prompts[1]!)).tokens).toEqual(base[1]);
    expect((await generator.complete(prompts[2]!, { adapter: 'tuned' })).tokens).toEqual(tuned[2]);
  });

  it('where the graph cannot be told of padding: rows of one length together', async () => {
    const fed: number[] = [];
    const untold = new Proxy(counted(fed), {
      get: (target, key) => {
        const { position_ids: _, ...inputs } = target.inputs;
        return key === 'inputs' ? inputs : (Reflect.get(target, key, target) as unknown);
      },
    });
    await using generator = await opened(untold);
    const found = await generator.complete([prompts[0]!, prompts[1]!, prompts[0]!], { maxNewTokens: 2 });
    expect(found.map(({ tokens }) => tokens)).toEqual([0, 1, 0].map((i) => base[i]!.slice(0, 2)));
    expect(fed).toEqual([5, 1, 16, 1]);
  });

  it('beams as one batch and alone, the best of them first', async () => {
    await using generator = await opened();
    const options = { numBeams: 3, numReturnSequences: 3, maxNewTokens: 8, adapter: 'tuned' };
    const both = await generator.complete(prompts, options);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await generator.complete(prompt, options);
      expect(alone.alternatives!.map(({ tokens }) => tokens)).toEqual(
        both[i]!.alternatives!.map(({ tokens }) => tokens),
      );
      const scores = alone.alternatives!.map(({ score }) => score!);
      expect(scores).toEqual(scores.toSorted((a, b) => b - a));
      expect(alone.tokens).toEqual(alone.alternatives![0]!.tokens);
    }
  });
});

it('any of several tokens ends a text', async () => {
  await using generator = await opened();
  for (const [i, ids] of prompts.entries()) {
    const ends = [base[i]![5]!, base[i]![9]!];
    const { tokens, finish } = await generator.complete(ids, { eosTokenId: ends });
    const at = base[i]!.findIndex((token) => ends.includes(token));
    expect([tokens, finish]).toEqual([base[i]!.slice(0, at + 1), 'end']);
    const { tokens: longer } = await generator.complete(ids, { eosTokenId: ends, minNewTokens: at + 1 });
    expect(longer.length).toBeGreaterThan(at + 1);
  }
});

it('streams the text that it gives as a whole', async () => {
  await using generator = await opened();
  const whole = await generator.complete('Once', { stopStrings: ['nothing such'] });
  const pieces: TextPiece[] = [];
  for await (const piece of generator.generate('Once')) pieces.push(piece);
  expect(pieces.map(({ text }) => text).join('')).toBe(whole.text);
  expect(pieces.map(({ token }) => token)).toEqual(base[0]);
  expect(pieces.map(({ finish }) => finish)).toEqual([...Array<undefined>(23).fill(undefined), 'length']);
  // A text that stops before what it has written, wherever pieces end.
  for (const [from, to] of [[3, 4], [6, 9]] as const) {
    const stop = [...whole.text].slice(from, to).join('');
    const { text, finish } = await generator.complete('Once', { stopStrings: ['never', stop] });
    expect([text, finish]).toEqual([whole.text.slice(0, whole.text.indexOf(stop)), 'stop']);
  } // prettier-ignore
});

it('gives pieces of whole characters, and holds back what may be a stop', async () => {
  const tokenizer = await openTokenizer({ name: 'tiny', folder: fixture, inputs: {}, outputs: {} });
  const decode = (ids: readonly number[]): string => tokenizer.decode!(ids);
  const said = 'naïve 日本語 🙂 end.\n';
  const { ids } = tokenizer.tokens(said);
  expect(ids).toHaveLength(Buffer.from(said).length);
  const pieces = new TextPieces(decode, []);
  const found = ids.map((id) => pieces.push(id).text);
  expect([...found, pieces.rest()].join('')).toBe(said);
  expect(found.filter((piece) => piece !== '').join('|')).toBe([...said].join('|'));
  const stopping = new TextPieces(decode, ['end!', '🙂 end.']);
  const until = ids.map((id) => stopping.push(id));
  const at = until.findIndex(({ isOver }) => isOver);
  expect(until.slice(0, at + 1).map(({ text }) => text).join('')).toBe('naïve 日本語 '); // prettier-ignore
  expect(at).toBe(ids.length - 2);
  // Tokens that all end within a character: of each the character before it is certain.
  const crossing = ['c3', 'a9c3', 'a9e6', '97a5e6', '97', 'a5f09f', '9982c3', 'a9', '78'];
  const spell = (given: readonly number[]): string => Buffer.from(given.map((id) => crossing[id]).join(''), 'hex').toString(); // prettier-ignore
  const crossed = new TextPieces(spell, []);
  expect(crossing.map((_, id) => crossed.push(id).text)).toEqual(['', 'é', 'é', '日', '', '日', '🙂', 'é', 'x']);
  // Bytes that never become a character are returned at the end, as the decoder spells them.
  const broken = new TextPieces(decode, []);
  const bytes = tokenizer.tokens('日').ids.slice(0, 2);
  expect(bytes.map((id) => broken.push(id).text).join('') + broken.rest()).toBe('\uFFFD');
});

it('draws the same from the same seed, for a row whatever the others are', async () => {
  await using generator = await opened();
  const draw = async (seed: number): Promise<unknown> => (await generator.complete(prompts[0]!, { temperature: 1.5, topK: 0, seed })).tokens; // prettier-ignore
  const first = await draw(3);
  expect(await draw(3)).toEqual(first);
  expect(await draw(4)).not.toEqual(first);
  const rows = await generator.complete([prompts[1]!, prompts[0]!, { prompt: prompts[0]!, seed: 3 }], { temperature: 1.5, topK: 0, seed: 2 }); // prettier-ignore
  expect(rows.slice(1).map(({ tokens }) => tokens)).toEqual([first, first]);
  expect((await generator.complete(prompts[0]!, { temperature: 0, seed: 3 })).tokens).toEqual(base[0]);
  expect((await generator.complete(prompts[0]!, { topK: 1, temperature: 2 })).tokens).toEqual(base[0]);
});

it('reads only what is new of a conversation that continues', async () => {
  const fed: number[] = [];
  await using generator = await opened(counted(fed));
  const first = await generator.complete(prompts[1]!, { maxNewTokens: 6 });
  expect(fed).toEqual([16, 1, 1, 1, 1, 1]);
  const turn = [...prompts[1]!, ...first.tokens, 77, 78];
  const passes = async (ids: readonly number[], own: string | null = null): Promise<number[]> => {
    fed.length = 0;
    await using fresh = await opened();
    const options = { maxNewTokens: 3, adapter: own };
    const { tokens } = await generator.complete(ids, options);
    expect(tokens).toEqual((await fresh.complete(ids, options)).tokens);
    return [...fed];
  };
  // Its last token was not read yet.
  expect(await passes(turn)).toEqual([3, 1, 1]);
  // Changed tokens are read again, and those that another adapter has read.
  expect(await passes([...turn.slice(0, 12), 5, 6])).toEqual([2, 1, 1]);
  expect(await passes(turn.slice(0, 14), 'tuned')).toEqual([14, 1, 1]);
  expect(await passes(turn.slice(0, 14), 'tuned')).toEqual([1, 1, 1]);
  // A loop that is left keeps what was read until then.
  fed.length = 0;
  for await (const { token } of generator.generate(prompts[0]!)) if (token === base[0]![2]) break;
  expect(await passes([...prompts[0]!, ...base[0]!.slice(0, 2), 9])).toEqual([1, 1, 1]);
});

it('starts over where nothing says which dimension grows', async () => {
  const fed: number[] = [];
  const inputs = Object.fromEntries(
    Object.entries(model.inputs).map(([name, port]) => [name, { ...port, dims: port.dims?.map(() => 1) }]),
  );
  const closed = new Proxy(counted(fed), {
    get: (target, key) => (key === 'inputs' ? inputs : (Reflect.get(target, key, target) as unknown)),
  });
  await using generator = await opened(closed);
  await generator.complete(prompts[1]!, { maxNewTokens: 4 });
  fed.length = 0;
  const { tokens } = await generator.complete(prompts[1]!, { maxNewTokens: 2 });
  expect([tokens, fed]).toEqual([base[1]!.slice(0, 2), [16, 1]]);
});

it('stops when it is cancelled, and continues with another text', async () => {
  await using generator = await opened();
  const controller = new AbortController();
  const tokens: number[] = [];
  const writing = (async () => {
    for await (const { token } of generator.generate(prompts[0]!, { signal: controller.signal }))
      if (tokens.push(token) === 3) controller.abort();
  })();
  await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(tokens).toEqual(base[0]!.slice(0, 3));
  expect((await generator.complete(prompts[0]!)).tokens).toEqual(base[0]);
});

it('an adapter that is given alone writes where none is named', async () => {
  await using generator = await openGenerator(model, { ...load, adapter });
  expect((await generator.complete(prompts[0]!)).tokens).toEqual(tuned[0]);
  expect((await generator.complete(prompts[0]!, { adapter: null })).tokens).toEqual(base[0]);
  await expect(openGenerator(model, { ...load, adapter, adapters: { adapter } })).rejects.toMatchObject({ code: 'INPUT_INVALID' }); // prettier-ignore
});

it('refuses what cannot be, before the work', async () => {
  const fed: number[] = [];
  await using generator = await opened(counted(fed));
  const cases: readonly [Parameters<TextGenerator['generate']>[0], Parameters<TextGenerator['generate']>[1], string][] =
    [
      ['x', { topP: 2 }, 'topP must be'],
      ['x', { maxNewTokens: 0 }, 'maxNewTokens must be'],
      [[{ prompt: 'x', maxNewTokens: -1 }], {}, 'maxNewTokens must be'],
      ['x', { temperature: -1 }, 'temperature must be'],
      ['x', { numBeams: 2, temperature: 1 }, 'Set numBeams to 1'],
      ['x', { numReturnSequences: 2 }, '2 texts of 1 beams'],
      ['x', { numBeams: 2, stopStrings: ['y'] }, 'Set numBeams to 1'],
      ['x', { badWordsIds: [[]] }, 'badWordsIds holds'],
      ['x', { eosTokenId: -3 }, 'eosTokenId holds'],
      ['x'.repeat(99), {}, 'The prompt has 100 tokens, and the model reads 96'],
      [['x', [1, 999]], {}, 'Prompt 1 holds 999'],
      ['x', { adapter: 'other' }, 'other'],
    ];
  for (const [given, options, message] of cases)
    await expect(generator.complete(given as string, options), message).rejects.toThrow(message);
  expect(fed.length).toBeLessThanOrEqual(1);
  expect((await generator.complete('', { maxNewTokens: 2 })).tokens).toHaveLength(2);
  const lone = {
    ...(await openTokenizer({ name: 'tiny', folder: fixture, inputs: {}, outputs: {} })),
    decode: undefined,
  };
  await expect(openGenerator(model, { ...load, tokenizer: lone as never })).rejects.toThrow(
    'cannot make text of tokens',
  );
});

it('a model that does not write is refused by what it lacks', async () => {
  const changed = (inputs: object, outputs: object = model.outputs): RunnableModel =>
    ({ name: 'other', inputs, outputs, parts: [] }) as unknown as RunnableModel;
  const { input_ids: ids, ...rest } = model.inputs;
  for (const [other, message] of [
    [changed(rest), 'no input "input_ids"'],
    [changed(model.inputs, {}), 'no output "logits"'],
    [changed({ input_ids: ids, pixel_values: ids }), 'has the input "pixel_values"'],
    [changed({ input_ids: ids, encoder_hidden_states: ids }), 'has the input "encoder_hidden_states"'],
  ] as const)
    await expect(openGenerator(other)).rejects.toThrow(message);
});

it('answers in turns, of which only what is new is read', async () => {
  const fed: number[] = [];
  await using generator = await opened(counted(fed));
  const conversation = await openConversation(model, generator);
  const say = async (content: string, own: string | null, maxNewTokens: number): Promise<string> => {
    let text = '';
    for await (const piece of conversation.answer(content, { adapter: own, maxNewTokens })) text += piece.text;
    return text;
  };
  for (const [own, { text }] of [
    [null, golden.chat.base],
    ['tuned', golden.chat.tuned],
  ] as const) {
    // prettier-ignore
    conversation.reset();
    expect(await say('hi', own, 24)).toBe(text);
  }
  const asked = 'user: hi\nassistant: ';
  expect(fed[24]).toBe(asked.length);
  conversation.reset();
  const first = await say('hi', 'tuned', 2);
  const before = fed.length;
  await say('and?', 'tuned', 2);
  expect(fed[before]).toBeLessThanOrEqual(Buffer.from(`${first}\nuser: and?\nassistant: `).length);
  expect(conversation.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
  const { folder: _, ...lone } = { folder: model.folder, name: 'lone' };
  await expect(openConversation(lone, generator)).rejects.toThrow('"lone" has no chat template');
});
