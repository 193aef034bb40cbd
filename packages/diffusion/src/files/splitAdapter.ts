/** @file One adapter of text encoder and UNet together, and one of each. */

import { Adapter, type AdapterConfig, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { adapterConfig, LORA, patternTable, scalingOf } from '@onnx-lora/sdk/plugin';
import type { PipelineAdapter } from './readAdapters.ts';

/** The networks of `openDenoiser`. */
const parts = ['text_encoder', 'unet'] as const;

const PREFIX = 'base_model.model.';

/** The adapters of both networks, for files and pipelines, from an adapter of the model of `openDenoiser`. */
export function splitAdapter(adapter: Adapter): PipelineAdapter {
  const adapters: Record<string, Adapter> = {};
  for (const part of parts) {
    const begin = `${PREFIX}${part}.`;
    const own = [...adapter.tensors].flatMap(([name, tensor]) =>
      name.startsWith(begin) ? [[`${PREFIX}${name.slice(begin.length)}`, tensor] as const] : [],
    );
    if (own.length === 0) continue;
    const tensors = new Map(own);
    adapters[part] = new Adapter(
      renamed(
        adapter.config,
        tensors,
        (path) => `${part}.${path}`,
        (path) => path,
      ),
      tensors,
    );
  }
  return { adapters };
}

/** One adapter for the model of `openDenoiser` from those of its networks. @throws OnnxLoraError `INPUT_INVALID` */
export function joinAdapters({ adapters }: PipelineAdapter): Adapter {
  const tensors = new Map<string, Tensor>();
  const numbers = { ranks: new Map<string, number>(), alphas: new Map<string, number>() };
  for (const [part, { config, tensors: own }] of Object.entries(adapters)) {
    if (config.peftType !== LORA || !parts.includes(part as 'unet'))
      throw new OnnxLoraError('INPUT_INVALID', `Only plain LoRA of ${parts.join(' and ')} is trained further, and the adapter of ${part} is ${config.peftType}.`); // prettier-ignore
    for (const [name, tensor] of own) tensors.set(`${PREFIX}${part}.${name.slice(PREFIX.length)}`, tensor);
    collect(
      config,
      own,
      numbers,
      (path) => path,
      (path) => `${part}.${path}`,
    );
  }
  const [{ config }] = Object.values(adapters) as [Adapter];
  return new Adapter(withNumbers(config, numbers), tensors);
}

interface Numbers {
  readonly ranks: Map<string, number>;
  readonly alphas: Map<string, number>;
}

function renamed(
  config: AdapterConfig,
  tensors: Adapter['tensors'],
  before: (path: string) => string,
  after: (path: string) => string,
): AdapterConfig {
  const numbers: Numbers = { ranks: new Map(), alphas: new Map() };
  collect(config, tensors, numbers, before, after);
  return withNumbers(config, numbers);
}

/** Ranks and alphas of the layers, by their new paths. */
function collect(
  config: AdapterConfig,
  tensors: Adapter['tensors'],
  { ranks, alphas }: Numbers,
  before: (path: string) => string,
  after: (path: string) => string,
): void {
  for (const name of tensors.keys()) {
    const path = /^base_model\.model\.(.+)\.lora_A\.weight$/.exec(name)?.[1];
    if (path === undefined) continue;
    const { r, alpha } = scalingOf(config, before(path));
    ranks.set(after(path), r);
    alphas.set(after(path), alpha);
  }
}

function withNumbers(config: AdapterConfig, { ranks, alphas }: Numbers): AdapterConfig {
  const [r = config.r, loraAlpha = config.loraAlpha] = [...ranks.values()].slice(0, 1).concat([...alphas.values()].slice(0, 1)); // prettier-ignore
  const others = (all: ReadonlyMap<string, number>, usual: number): Record<string, number> =>
    patternTable(new Map([...all].filter(([, value]) => value !== usual)));
  return adapterConfig({
    ...config,
    r,
    loraAlpha,
    rankPattern: others(ranks, r),
    alphaPattern: others(alphas, loraAlpha),
    targetModules: [...ranks.keys()],
  });
}
