/** @file The layers of a model that LoRA files may name. */

import type { Model } from '@onnx-lora/sdk';
import type { ComponentModules } from './moduleNames.ts';

/** The list of layers of a text encoder, numbered. */
const LAYER = /^(.*\blayers|.*\bblock)\.(\d+)\.(.+)$/;

/**
 * The adaptable layers of an opened model, as names of LoRA files are looked up. Layers that its config counts and its
 * graph lacks, since their output is not used, are absent ones.
 */
export function componentModules(model: Pick<Model, 'modules' | 'config'>): ComponentModules {
  const modules = model.modules().filter(({ partOf }) => partOf === undefined);
  const paths = new Set(modules.map(({ path }) => path));
  const { num_hidden_layers: count } = (model.config ?? {}) as { readonly num_hidden_layers?: unknown };
  const repeated = modules.flatMap(({ path }) => {
    const found = LAYER.exec(path);
    return found && typeof count === 'number' && count <= 1000 ? [found] : [];
  });
  const absent = repeated.flatMap(([, list, , rest]) =>
    Array.from({ length: count as number }, (_, i) => `${list}.${i}.${rest}`).filter((path) => !paths.has(path)),
  );
  return { modules, absent: [...new Set(absent)] };
}
