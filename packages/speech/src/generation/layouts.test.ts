/** @file A small Whisper writes transformers' tokens, in whichever files it is published, with and without an adapter. */

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, float32, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, Random } from '@onnx-lora/sdk/data';
import { beamSearch, CachedDecoder, type Decoding, PLACES, selectRows, stepwiseSearch, withLogitPlaces, type WrittenText } from '@onnx-lora/sequences'; // prettier-ignore
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { whisper } from '../families/whisper.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { openExtractor } from '../features/featureExtractor.ts';
import { type GenerationConfig, readGenerationConfig, promptOf } from './generationConfig.ts';
import { firstLogits, rulesOf } from './decodingRules.ts';
import { openDecoder, servingParts, type SpeechDecoder } from './encoderAndDecoder.ts';
import { openTranscriber } from './openTranscriber.ts';
import { SpeechEngine } from './speechEngine.ts';

const fixture = fileURLToPath(new URL('../../../../test/fixtures/whisperMerged/', import.meta.url));
const shared = fileURLToPath(new URL('../../../../../shared/oracle/generate/whisper-tiny-random/', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-layouts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const golden = JSON.parse(readFileSync(path.join(fixture, 'golden.json'), 'utf8')) as {
  readonly prompt: readonly number[];
  readonly eos: number;
  readonly steps: number;
  readonly base_ids: readonly (readonly number[])[];
  readonly lora_ids: readonly (readonly number[])[];
};
const wanted = (ids: readonly (readonly number[])[]): number[][] =>
  ids.map((own) => own.filter((id) => id !== golden.eos));
const [base, french] = [wanted(golden.base_ids), wanted(golden.lora_ids)];
const options = { provider: 'cpu', threads: 1, worker: false } as const;

let features: Tensor;
let adapter: Adapter;
beforeAll(async () => {
  features = (await readSafetensors(path.join(fixture, 'golden.safetensors'))).tensors.get('input_features')!;
  adapter = await loadAdapter(path.join(fixture, 'adapter'));
});

/** A folder with some of the files. */
function folderWith(from: string, files: readonly string[]): string {
  const folder = mkdtempSync(path.join(scratch, 'model-'));
  mkdirSync(path.join(folder, 'onnx'));
  for (const name of ['config.json', 'generation_config.json']) copyFileSync(path.join(from, name), path.join(folder, name)); // prettier-ignore
  for (const name of files) copyFileSync(path.join(from, 'onnx', `${name}.onnx`), path.join(folder, 'onnx', `${name}.onnx`)); // prettier-ignore
  return folder;
}

async function opened(
  folder: string,
  more: { readonly worker?: boolean } = {},
): Promise<{ readonly model: Model; readonly engine: SpeechEngine; readonly config: GenerationConfig }> {
  const model = await openModel(folder, { families: [whisper] });
  const config = await readGenerationConfig(model);
  return { model, config, engine: await SpeechEngine.open(model, config, { ...options, ...more, adapters: { french: adapter } }) }; // prettier-ignore
}

const published = {
  'both decoders in one file': [['encoder_model', 'decoder_model_merged'], true],
  'a decoder for the first token and one for the others': [['encoder_model', 'decoder_model', 'decoder_with_past_model'], true], // prettier-ignore
  'one decoder without a past': [['encoder_model', 'decoder_model'], false],
} as const;

describe.each(Object.entries(published))('%s', (_, [files, hasPast]) => {
  const from = (files as readonly string[]).includes('decoder_model') ? shared : fixture;

  it.skipIf(!existsSync(from)).each([{ worker: false }, { worker: true }])(
    'writes the golden tokens: %o',
    async (more) => {
      const { model, engine, config } = await opened(folderWith(from, files), more);
      try {
        expect(servingParts(model).next !== undefined).toBe(hasPast);
        const prompt = promptOf(config, { language: 'en', timestamps: false });
        expect(prompt).toEqual(golden.prompt);
        const write = async (choice: null | string | (string | null)[], rows = [0, 1, 2]): Promise<unknown[]> => {
          const states = await engine.encode({ input_features: selectRows(features, rows) }, { adapter: choice });
          const found = await engine.decode(states, rows.map(() => prompt), { adapter: choice, maxTokens: golden.steps }); // prettier-ignore
          return found.map(({ tokens }) => tokens);
        };
        expect(await write(null)).toEqual(base);
        expect(await write('french')).toEqual(french);
        // Rows with other adapters and other company.
        expect(await write(['french', null, 'french'], [2, 2, 0])).toEqual([french[2], base[2], french[0]]);
        expect(await write(null, [1])).toEqual([base[1]]);
      } finally {
        await engine.release();
      }
    },
  );
});

it('keeps the right keys and values while beams part and clips end: as if each pass computed all again', async () => {
  const model = await openModel(fixture, { families: [whisper] });
  const { encoder, ...parts } = servingParts(model);
  const config = await readGenerationConfig(model);
  const session = await encoder.session(options);
  const decoder = await openDecoder({ encoder, ...parts }, { ...options, adapters: { french: adapter } });
  try {
    // Noise makes the model unsure, so that beams differ.
    const sounds = float32(Float32Array.from({ length: 3 * 8000 }, (_, i) => Math.sin(i * i)), [3, 80, 100]); // prettier-ignore
    const states = (await session.run({ input_features: sounds }))['last_hidden_state']!;
    const choice = { adapter: ['french', null, 'french'] };
    const prompts = [0, 1, 2].map(() => golden.prompt);
    const search = async (beams: number, decoding: Decoding): Promise<WrittenText[]> => {
      const { logits } = await firstLogits(decoding, prompts, config, false);
      const request = {
        ...config,
        decoding,
        logits,
        prompts,
        rules: rulesOf(config, false),
        maxTokens: 24,
        scores: true,
      };
      if (beams === 1) return stepwiseSearch({ ...request, temperature: 0, seed: 0 });
      return (await beamSearch({ ...request, beams })).map(([best]) => best!);
    };
    for (const beams of [1, 4]) {
      const kept = await search(beams, decoder.begin(states, choice));
      const again = await search(beams, recomputing(decoder, states, choice));
      expect(kept.map(({ tokens }) => tokens)).toEqual(again.map(({ tokens }) => tokens));
      kept.forEach(({ sumLogProb }, i) => expect(sumLogProb).toBeCloseTo(again[i]!.sumLogProb!, 3));
    }
  } finally {
    await session.release();
    await decoder.release();
  }
});

/** Texts whose passes are all first ones. */
function recomputing(
  decoder: SpeechDecoder,
  states: Tensor,
  { adapter: own }: { adapter: (string | null)[] },
): Decoding {
  let rows = own.map((choice, row) => ({ row, choice, ids: [] as readonly number[] }));
  return {
    next: async (tokens, places) => {
      const before = rows[0]!.ids.length;
      rows = rows.map((each, i) => ({ ...each, ids: [...each.ids, ...tokens[i]!] }));
      const sounds = selectRows(states, rows.map(({ row }) => row)); // prettier-ignore
      const fresh = decoder.begin(sounds, { adapter: rows.map(({ choice }) => choice) });
      return fresh.next(rows.map(({ ids }) => ids), (places ?? [tokens[0]!.length - 1]).map((place) => before + place)); // prettier-ignore
    },
    select: (chosen) => (rows = chosen.map((i) => rows[i]!)),
    release: () => undefined,
  };
}

it('gives the same logits where it computes only those that are read', async () => {
  const model = await openModel(fixture, { families: [whisper] });
  const { first } = servingParts(model);
  const narrow = withLogitPlaces(first);
  expect([PLACES in first.inputs, PLACES in narrow.inputs]).toEqual([false, true]);
  // Models without logits stay as they are.
  const encoder = model.part('encoder_model');
  expect(withLogitPlaces(encoder)).toBe(encoder);
  const states = float32(
    Float32Array.from({ length: 2 * 50 * 32 }, (_, i) => Math.sin(i * i)),
    [2, 50, 32],
  );
  const prompts = [golden.prompt, golden.prompt.toReversed()];
  const found: Float32Array[][][] = [];
  for (const each of [first, narrow]) {
    const decoder = await CachedDecoder.open(each, each, options);
    const decoding = decoder.begin({ rows: 2, fixed: { encoder_hidden_states: states } });
    found.push([...(await decoding.next(prompts, [1, 3])), ...(await decoding.next([[5], [6]]))]);
    decoding.release();
    await decoder.release();
  }
  expect(found[0]!.map((row) => row.map(({ length }) => length))).toEqual([[417, 417], [417, 417], [417], [417]]);
  expect(found[1]).toEqual(found[0]);
});

it('hears the language, and writes behind prompts of other lengths', async () => {
  const { engine, config } = await opened(fixture);
  try {
    const states = await engine.encode({ input_features: features });
    const heard = await engine.languages(states);
    expect(heard.map(({ language }) => language)).toEqual(['en', 'fr', 'en']);
    const long = promptOf(config, { language: 'en', timestamps: false, previous: [295, 353] });
    expect(long).toEqual([363, 295, 353, ...golden.prompt]);
    const prompts = [golden.prompt, long, golden.prompt];
    const mixed = await engine.decode(states, prompts, { maxTokens: golden.steps, scores: true });
    expect([mixed[0]!.tokens, mixed[2]!.tokens]).toEqual([base[0], base[2]]);
    const [alone] = await engine.decode(selectRows(states, [1]), [long], { maxTokens: golden.steps, scores: true });
    expect(mixed[1]).toEqual(alone);
    // A row's draws depend on the seed, and not on the other rows.
    const drawn = async (rows: readonly number[], seed: number): Promise<unknown[]> => {
      const own = { temperature: 4, random: new Random(seed), maxTokens: golden.steps };
      const found = await engine.decode(selectRows(states, rows), rows.map(() => golden.prompt), own); // prettier-ignore
      return found.map(({ tokens }) => tokens);
    };
    const [first, second] = await drawn([0, 1], 3);
    expect(await drawn([1], 3)).toEqual([second]);
    expect((await drawn([0], 4))[0]).not.toEqual(first);
    await expect(engine.decode(selectRows(states, [0]), [Array<number>(64).fill(1)])).rejects.toThrow('none is left for the text'); // prettier-ignore
    await expect(engine.decode(selectRows(states, [0]), [long], { temperature: 1 })).rejects.toThrow(
      'seeded generator',
    );
  } finally {
    await engine.release();
  }
});

it('stops when it is cancelled', async () => {
  const { engine } = await opened(fixture);
  try {
    const states = await engine.encode({ input_features: features });
    const signal = AbortSignal.abort();
    await expect(engine.decode(states, Array.from({ length: 3 }, () => golden.prompt), { signal })).rejects.toMatchObject({ code: 'CANCELLED' }); // prettier-ignore
  } finally {
    await engine.release();
  }
});

it('transcribes clips, each with its adapter, in its language', async () => {
  const model = await openModel(fixture, { families: [whisper] });
  const transcriber = await openTranscriber(model, { ...options, adapters: { french: adapter } });
  try {
    const clips = [0.3, 0.5].map((pitch) => Float32Array.from({ length: 16_000 }, (_, i) => 0.3 * Math.sin(pitch * i)));
    const both = await transcriber.transcribeClips(clips, { language: 'en', adapter: [null, 'french'] });
    const alone = await Promise.all([
      transcriber.transcribeClips([clips[0]!], { language: 'en' }),
      transcriber.transcribeClips([clips[1]!], { language: 'en', adapter: 'french' }),
    ]);
    expect(both).toEqual(alone.flat());
    expect(both[0]!.text).not.toBe(both[1]!.text);
    expect(both.map(({ language }) => language)).toEqual(['en', 'en']);
    await expect(transcriber.transcribeClips(clips, { language: 'en', adapter: [null] })).rejects.toThrow('1 adapters were given for 2 clips'); // prettier-ignore
    expect(await transcriber.transcribeClips([])).toEqual([]);
    await expect(transcriber.transcribeClips([new Float32Array(16_001)])).rejects.toThrow('Use transcribe');
    await expect(transcriber.transcribeClips(clips, { language: 'xx' })).rejects.toThrow('does not know the language "xx". It knows en, fr.'); // prettier-ignore
    for (const beams of [0, 1.5, 1e9])
      await expect(transcriber.transcribeClips(clips, { language: 'en', beams })).rejects.toThrow(`beams is ${beams}`);
  } finally {
    await transcriber.release();
  }
});

it('writes clips one by one where padding would be heard', async () => {
  const model = await openModel(fixture, { families: [whisper] });
  const { maxSamples: _, ...extractor } = await openExtractor(model, [
    new FeatureExtractorFactory(new AudioFileReader()),
  ]);
  const batches: number[] = [];
  const own = {
    ...extractor,
    extract: (samples: Float32Array) => extractor.extract(samples),
    batch: (clips: readonly Tensor[]) => {
      batches.push(clips.length);
      return extractor.batch(clips);
    },
  };
  const clips = [0.3, 0.5].map((pitch) => Float32Array.from({ length: 16_000 }, (__, i) => 0.3 * Math.sin(pitch * i)));
  const found: unknown[] = [];
  for (const chosen of [{}, { extractor: own }]) {
    const transcriber = await openTranscriber(model, { ...options, ...chosen, adapters: { french: adapter } });
    found.push(await transcriber.transcribeClips(clips, { language: 'en', adapter: [null, 'french'] }));
    await transcriber.release();
  }
  expect(found[1]).toEqual(found[0]);
  expect(batches).toEqual([1, 1]);
});

it('a model without a decoder is refused', async () => {
  const model = await openModel(path.join(fixture, 'onnx/encoder_model.onnx'));
  expect(() => servingParts(model)).toThrow('has no encoder and decoder that can write text');
  // The files beside it, such as a tokenizer that is missing, are not to blame.
  const encoder = (await openModel(fixture, { families: [whisper] })).part('encoder_model');
  await expect(openTranscriber(encoder)).rejects.toThrow('name that task, such as audio-classification');
});
