/** @file A real Whisper on real recordings writes transformers' tokens, base and adapted by PEFT, in all files it is published as. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, float32, loadAdapter, openModel, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { beforeAll, describe, expect, it } from 'vitest';
import { whisper } from '../families/whisper.ts';
import searched from '../fixtures/whisperReal.json' with { type: 'json' };
import { openSpeechTokenizer } from '../text/openSpeechTokenizer.ts';
import { readGenerationConfig, promptOf } from './generationConfig.ts';
import { SpeechEngine } from './speechEngine.ts';
import { isNightly } from '../../../../test/support/nightly.ts';

// 150 MB of weights, and recordings under a licence that does not suit the repository; kept beside a checkout.
const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const folder = path.join(shared, 'models/whisper-tiny.en');
const oracle = path.join(shared, 'oracle/whisper-real');

const SOME = 5;

interface Clip {
  readonly path: string;
  readonly base: { readonly ids: readonly number[]; readonly text: string };
  readonly tuned: { readonly ids: readonly number[]; readonly text: string };
}

describe.skipIf(!existsSync(oracle))('whisper-tiny.en (needs ../shared beside the checkout)', () => {
  let clips: readonly Clip[];
  let features: ReadonlyMap<string, Tensor>;
  let spanish: Adapter;
  beforeAll(async () => {
    clips = (JSON.parse(readFileSync(path.join(oracle, 'golden.json'), 'utf8')) as { clips: readonly Clip[] }).clips;
    features = (await readSafetensors(path.join(oracle, 'golden-features.safetensors'))).tensors;
    spanish = await loadAdapter(path.join(oracle, 'adapter-trained'));
  });

  /** Features of 30 s: what is stored ends with the sound, and its last column continues. */
  const whole = (own: readonly { readonly path: string }[]): Tensor => {
    const frames = 3000;
    const data = new Float32Array(own.length * 80 * frames);
    own.forEach((clip, i) => {
      const stored = features.get(clip.path)!;
      const columns = stored.dims[1]!;
      for (let mel = 0; mel < 80; mel++) {
        const row = (stored.data as Float32Array).subarray(mel * columns, (mel + 1) * columns);
        const start = (i * 80 + mel) * frames;
        data.set(row, start);
        data.fill(row.at(-1)!, start + columns, start + frames);
      }
    });
    return float32(data, [own.length, 80, frames]);
  };

  const open = async (source: string | readonly string[]): Promise<SpeechEngine> => {
    const model = await openModel(source, { families: [whisper] });
    const config = await readGenerationConfig(model);
    return SpeechEngine.open(model, config, { provider: 'cpu', worker: false, adapters: { spanish } });
  };

  const variants = [['base', null], ['tuned', 'spanish']] as const; // prettier-ignore

  it.each(variants)(
    'recordings, %s, token by token, and their texts',
    { timeout: 300_000 },
    async (variant, adapter) => {
      const engine = await open(folder);
      const tokenizer = await openSpeechTokenizer(folder);
      try {
        expect(clips).toHaveLength(20);
        const prompt = promptOf(engine.config, { timestamps: false });
        for (let start = 0; start < (isNightly ? clips.length : SOME); start += SOME) {
          const own = clips.slice(start, start + SOME);
          const states = await engine.encode({ input_features: whole(own) }, { adapter });
          const found = await engine.decode(states, own.map(() => prompt), { adapter, maxTokens: 64 }); // prettier-ignore
          expect(found.map(({ tokens }) => [...prompt, ...tokens, 50256])).toEqual(
            own.map((clip) => clip[variant].ids),
          );
          expect(found.map(({ tokens }) => tokenizer.decode(tokens))).toEqual(own.map((clip) => clip[variant].text));
        }
      } finally {
        await engine.release();
      }
    },
  );

  const layouts = [
    ['both decoders in one, and no other', ['encoder_model', 'decoder_model_merged']],
    ['two decoders', ['encoder_model', 'decoder_model', 'decoder_with_past_model']],
    ['a decoder without a past', ['encoder_model', 'decoder_model']],
    ['one file', ['model']],
  ] as const;

  it.each(isNightly ? layouts : layouts.slice(0, 1))('%s', { timeout: 300_000 }, async (_, names) => {
    const engine = await open(names.map((name) => path.join(folder, 'onnx', `${name}.onnx`)));
    try {
      const prompt = promptOf(engine.config, { timestamps: false });
      const own = clips.slice(5, 6);
      const adapter = 'spanish';
      const states = await engine.encode({ input_features: whole(own) }, { adapter });
      const [found] = await engine.decode(states, [prompt], { adapter, maxTokens: 64 });
      expect([...prompt, ...found!.tokens, 50256]).toEqual(own[0]!.tuned.ids);
    } finally {
      await engine.release();
    }
  });

  it.runIf(isNightly)("finds transformers' texts with four beams, and its times", { timeout: 300_000 }, async () => {
    const engine = await open(folder);
    try {
      const states = await engine.encode({ input_features: whole(searched) });
      const prompts = (timestamps: boolean): number[][] => searched.map(() => promptOf(engine.config, { timestamps }));
      const beams = await engine.decode(states, prompts(false), { beams: 4, maxTokens: 64 });
      expect(beams.map(({ tokens }) => tokens)).toEqual(searched.map((each) => each.beams));
      const times = await engine.decode(states, prompts(true), { timestamps: true, maxTokens: 64 });
      expect(times.map(({ tokens }) => tokens)).toEqual(searched.map((each) => each.times));
    } finally {
      await engine.release();
    }
  });
});
