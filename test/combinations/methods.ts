/** @file Draws what is put into a network: a method with its options, and the layers that it adapts. */

import fc from 'fast-check';
import type { LoraOptions } from '@onnx-lora/sdk';
import { tuners } from '@onnx-lora/methods';
import { tunerSettings } from '../../packages/methods/fixtures/tunerSettings.ts';
import type { BuiltNetwork } from './buildNetwork.ts';

/** Mixtures and those that read a number of each row need more than a network; one names blocks by layer. */
const apart: ReadonlySet<string> = new Set(['arrow', 'xlora', 'poly', 'mixlora', 'mola', 'bdlora']);

const tunersByName = new Map(tuners.map((each) => [each.name, each]));

/** Methods besides LoRA. */
export const otherMethods: readonly string[] = tuners.map(({ name }) => name).filter((name) => !apart.has(name));

/** A method, its options, and which layers it adapts. */
export interface DrawnMethod {
  readonly method: string;
  /** Bit `i` adapts layer `i`. */
  readonly targets: number;
  readonly form: 'names' | 'pattern' | 'function' | 'all-linear';
  readonly r: number;
  readonly alpha: number;
  readonly variant: 'plain' | 'dora' | 'rslora';
  readonly dropout: number;
  readonly bias: 'none' | 'all' | 'lora_only';
  readonly loraBias: boolean;
  /** Whether the first target has a rank, or an alpha, of its own. */
  readonly patterns: 'none' | 'rank' | 'alpha' | 'both';
  /** Modules that are trained in full beside the adapter. */
  readonly saved: 'nothing' | 'head' | 'norms';
  readonly init: 'default' | 'gaussian' | 'orthogonal' | 'pissa' | 'olora';
  /** Index among the method's settings. */
  readonly settings: number;
}

/** Methods that shrink to plain LoRA on one layer. */
export const drawnMethods: fc.Arbitrary<DrawnMethod> = fc.record({
  method: fc.oneof({ weight: 3, arbitrary: fc.constant('lora') }, { weight: 2, arbitrary: fc.constantFrom(...otherMethods) }),
  targets: fc.integer({ min: 1, max: 2 ** 10 - 1 }),
  form: fc.constantFrom('names', 'names', 'pattern', 'function', 'all-linear'),
  r: fc.constantFrom(2, 1, 4),
  alpha: fc.constantFrom(4, 3),
  variant: fc.constantFrom('plain', 'dora', 'rslora'),
  dropout: fc.constantFrom(0, 0, 0.3),
  bias: fc.constantFrom('none', 'none', 'all', 'lora_only'),
  loraBias: fc.nat(5).map((each) => each === 5),
  patterns: fc.constantFrom('none', 'none', 'rank', 'alpha', 'both'),
  saved: fc.constantFrom('nothing', 'nothing', 'head', 'norms'),
  init: fc.constantFrom('default', 'default', 'gaussian', 'orthogonal', 'pissa', 'olora'),
  settings: fc.nat(2),
}); // prettier-ignore

/** The options of `train` for a network; undefined if it has no layer that the method adapts. */
export function loraOptions(drawn: DrawnMethod, { layers, norms }: BuiltNetwork): LoraOptions | undefined {
  const { method, targets, form, r, alpha, variant, dropout, bias, loraBias, patterns, saved, init, settings } = drawn;
  const modulesToSave =
    saved === 'head' && layers.some(({ path }) => path === 'head') ? ['head'] : saved === 'norms' ? norms : [];
  const kinds = method === 'lora' ? undefined : (tunersByName.get(method)!.kinds ?? ['linear']);
  const paths = layers.flatMap(({ path, kind }) =>
    modulesToSave.includes(path) || kinds?.includes(kind) === false ? [] : path,
  );
  const some = paths.filter((_, i) => (targets >> i) & 1);
  const [first, ...others] = some.length > 0 ? some : paths;
  if (first === undefined) return undefined;
  const names = [first, ...others];
  const escaped = names.map((name) => name.replaceAll('.', '\\.'));
  const targetModules = {
    names,
    pattern: escaped.join('|'),
    function: ({ path }: { readonly path: string }) => names.includes(path),
    'all-linear': 'all-linear',
  }[form];
  const chosen = { targetModules, ...(modulesToSave.length > 0 ? { modulesToSave } : {}) };
  if (method !== 'lora') {
    const all = tunerSettings[method] ?? [{}];
    return {
      ...chosen,
      tuner: { ...all[settings % all.length], ...(method === 'fourierft' ? { scaling: 1 } : {}), name: method },
    };
  }
  const patterned = form === 'all-linear' ? 'none' : patterns;
  return {
    ...chosen,
    r,
    loraAlpha: alpha,
    ...(variant === 'dora' && !loraBias ? { useDora: true } : variant === 'rslora' ? { useRslora: true } : {}),
    ...(dropout > 0 ? { loraDropout: dropout } : {}),
    ...(bias === 'none' ? {} : { bias }),
    ...(loraBias ? { loraBias } : {}),
    ...(patterned === 'rank' || patterned === 'both' ? { rankPattern: { [escaped[0]!]: 4 } } : {}),
    ...(patterned === 'alpha' || patterned === 'both' ? { alphaPattern: { [escaped[0]!]: 5 } } : {}),
    ...(init === 'default' || loraBias ? {} : { initLoraWeights: init }),
  };
}
