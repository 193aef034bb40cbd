/** @file A pipeline against diffusers' latents and pictures, with adapters. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadAdapter, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { TorchRandom } from '@onnx-lora/sdk/plugin';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loraFile, sdTiny } from '../../fixtures/oracle.ts';
import { openPipeline } from './openPipeline.ts';
import { type Picture, picturesOf } from './pictures.ts';
import type { DiffusionPipeline } from './pipeline.ts';

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((most, each) => Math.max(most, each), 0);

interface Golden {
  readonly prompts: readonly string[];
  readonly negative_prompts: readonly string[];
  readonly guidance_scale: number;
  readonly num_inference_steps: number;
}

describe('sd-tiny', () => {
  let pipeline: DiffusionPipeline;
  let golden: ReadonlyMap<string, Tensor>;
  const text = JSON.parse(readFileSync(path.join(sdTiny, 'golden.json'), 'utf8')) as Golden;
  const numbers = (name: string): Float32Array => golden.get(name)!.data as Float32Array;

  beforeAll(async () => {
    pipeline = await openPipeline(sdTiny);
    golden = (await readSafetensors(path.join(sdTiny, 'golden.safetensors'))).tensors;
    const [unet, encoder] = [await loadAdapter(path.join(sdTiny, 'adapter/unet')), await loadAdapter(path.join(sdTiny, 'adapter/text_encoder'))]; // prettier-ignore
    await pipeline.add('peft', { adapters: { unet, text_encoder: encoder } });
    await pipeline.add('kohya', loraFile('kohya'));
    await pipeline.add('loha', loraFile('loha'));
    await pipeline.add('fp16', loraFile('kohya-fp16'));
    await pipeline.add('attention', loraFile('diffusers-attnprocs'));
  }, 60_000);
  afterAll(() => pipeline.release());

  const request = (more: object = {}): Parameters<DiffusionPipeline['generate']>[0] => ({
    prompts: text.prompts,
    negativePrompts: text.negative_prompts,
    guidance: text.guidance_scale,
    steps: text.num_inference_steps,
    latents: golden.get('latents')!,
    ...more,
  });

  it.each([
    ['base', null],
    ['lora', 'peft'],
    ['lora', 'kohya'],
  ])(
    '%s with %s has the latents and pictures of diffusers',
    async (name, adapter) => {
      const after: Tensor[] = [];
      const pictures = await pipeline.generate(request({ adapter, onStep: ({ latents }: { latents: Tensor }) => void after.push(latents) })); // prettier-ignore
      expect(after).toHaveLength(3);
      after.forEach(({ data }, i) => expect(worst(data as Float32Array, numbers(`${name}.latents.${i}`)), `latents ${i}`).toBeLessThan(1e-4)); // prettier-ignore
      const { data } = await pipeline.decode(after.at(-1)!);
      expect(worst(data as Float32Array, numbers(`${name}.image`))).toBeLessThan(1e-3);
      const pixels = numbers(`${name}.image`);
      const [{ width, height, data: own }] = pictures as [Picture];
      expect([width, height]).toEqual([16, 16]);
      const red = Math.min(Math.max(pixels[0]! / 2 + 0.5, 0), 1) * 255;
      expect(Math.abs(own[0]! - red)).toBeLessThan(1);
    },
    60_000,
  );

  it('the text encoder has the states of transformers', async () => {
    const prompts = [...text.negative_prompts, ...text.prompts];
    const states = await pipeline.encodePrompts(prompts);
    expect(worst(states.data as Float32Array, numbers('base.text_embeddings'))).toBeLessThan(1e-4);
  });

  it.each([
    ['of two kinds', [{ kohya: 0.5 }, 'loha']],
    ['of convolutions', ['kohya', { kohya: 0.3, fp16: 0.4 }]],
    ['of linear layers', ['attention', { attention: 0.5 }]],
    ['of one, beside none', [{ attention: 2 }, null]],
    ['of one form', ['loha', { loha: 0.5 }]],
  ] as const)(
    'two adapters in one batch equal each alone: %s',
    async (_, adapters) => {
      const own = { seed: [3, 4], latents: undefined, steps: 2 };
      const both = await pipeline.generate(request({ ...own, adapter: adapters }));
      for (const [i, adapter] of adapters.entries()) {
        const [alone] = await pipeline.generate(request({ ...own, prompts: [text.prompts[i]!], negativePrompts: text.negative_prompts[i]!, seed: own.seed[i], adapter })); // prettier-ignore
        expect(worst(both[i]!.data, alone!.data)).toBeLessThanOrEqual(1);
      }
      const [plain] = await pipeline.generate(request({ ...own, adapter: null }));
      expect(worst(both[0]!.data, plain!.data)).toBeGreaterThan(1);
    },
    60_000,
  );

  it('a picture is kept at strength 0, and outside of a mask', async () => {
    const [image] = (await pipeline.generate(request({ latents: undefined, seed: 11 }))) as [Picture];
    const [kept] = await pipeline.generate(request({ prompts: text.prompts[0]!, negativePrompts: '', latents: undefined, image, strength: 0, seed: 1 })); // prettier-ignore
    const drawn = await pipeline.encode([image], new TorchRandom(1).normal(4 * 8 * 8));
    expect(worst(kept!.data, picturesOf(await pipeline.decode(drawn))[0]!.data)).toBeLessThanOrEqual(1);
    const mask = { width: 16, height: 16, data: new Uint8Array(16 * 16 * 3) };
    const steps: Tensor[] = [];
    const inpaint = { prompts: text.prompts[0]!, negativePrompts: '', latents: undefined, image, seed: 1, steps: 3 };
    await pipeline.generate(request({ ...inpaint, mask, onStep: ({ latents }: { latents: Tensor }) => void steps.push(latents) })); // prettier-ignore
    const light = { ...mask, data: mask.data.map((_, i) => (Math.floor(i / 3) % 16 < 8 ? 255 : 0)) };
    const half: Tensor[] = [];
    await pipeline.generate(request({ ...inpaint, mask: light, onStep: ({ latents }: { latents: Tensor }) => void half.push(latents) })); // prettier-ignore
    const [dark, lit] = [steps.at(-1)!.data as Float32Array, half.at(-1)!.data as Float32Array];
    const changed = Array.from(dark, (value, i) => (value === lit[i] ? 0 : i % 8 < 4 ? 1 : 2));
    expect(changed.includes(1)).toBe(true);
    expect(changed.includes(2)).toBe(false);
  }, 60_000);

  it.each<[string, object, RegExp]>([
    ['an unknown adapter', { adapter: 'kohia' }, /no adapter "kohia".*"kohya"/],
    ['an odd width', { width: 17, latents: undefined }, /width is 17, and must be a multiple of 4/],
    ['a wrong number of adapters', { adapter: ['kohya'] }, /adapter has 1 entries for 2 prompts/],
    ['latents of another shape', { width: 32 }, /latents must be float32 \[2, 4, 8, 16\]/],
    ['a negative seed', { seed: -1 }, /seed is -1/],
    ['an unknown scheduler', { scheduler: 'eulr' }, /"eulr" is unknown.*"euler"/],
    ['a mask alone', { mask: { width: 16, height: 16, data: new Uint8Array(768) } }, /mask needs an image/],
    ['an unknown option', { guidence: 3 }, /no option "guidence".*"guidance"/],
  ])('%s is refused', async (_, more, message) => {
    await expect(pipeline.generate(request(more))).rejects.toThrow(message);
  });

  it('a run that is cancelled ends at the next step', async () => {
    const controller = new AbortController();
    const steps: number[] = [];
    const onStep = ({ step }: { step: number }): void => {
      steps.push(step);
      controller.abort();
    };
    await expect(pipeline.generate(request({ onStep, signal: controller.signal }))).rejects.toThrow(/abort|cancel/i);
    expect(steps).toEqual([1]);
  });
});
