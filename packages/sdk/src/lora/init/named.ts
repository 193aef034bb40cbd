/** @file Initialisers by their names in PEFT's `init_lora_weights` and on the command line; LoRA-GA. */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import { scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import { corda } from './corda.ts';
import { eva } from './eva.ts';
import type { Site } from '../../match/sites.ts';
import { bothRandom, gaussian, orthogonal, zeros } from './fromRandom.ts';
import { fastPissa, mica, olora, pissa } from './fromWeight.ts';
import { type GradientInitializer, type Initializer, refuseRankAbove } from './initializer.ts';
import { loftq } from './loftq.ts';

const named: ReadonlyMap<string, () => Initializer> = new Map<string, () => Initializer>([
  ['gaussian', () => gaussian],
  ['orthogonal', () => orthogonal],
  ['zeros', () => zeros],
  ['pissa', () => pissa],
  ['olora', () => olora],
  ['mica', () => mica],
  ['corda', () => corda()],
  ['corda_kpm', () => corda({ method: 'kpm' })],
  ['eva', () => eva()],
  ['lora_ga', () => loraGa()],
]);

/** All names, with `pissa_niter_N` as a placeholder. */
export const initializerNames: readonly string[] = [
  'default',
  ...[...named.keys()].flatMap((name) => (name === 'pissa' ? [name, 'pissa_niter_N'] : [name])),
  'loftq',
];

/**
 * Resolves an initialiser: a name, `true` or undefined for PEFT's default, `false` for two random factors, or itself.
 * @param original layers of the model before quantising, for `loftq`
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown name, for `loftq` without `original`, or `original` without it
 */
export function initializerOf(
  given: boolean | string | Initializer | undefined,
  original?: readonly Site[],
  brought: ReadonlyMap<string, () => Initializer> = new Map(),
): Initializer | undefined {
  if (given === 'loftq') {
    if (original) return loftq(original);
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'initLoraWeights (--init) "loftq" compares the quantised base with the model before quantising, and none is given. Name it with original (--original), or take "pissa", which needs the base alone.',
    );
  }
  if (original) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'A model before quantising is given (original, --original), which only initLoraWeights (--init) "loftq" reads. Take "loftq", or leave the model out.',
    );
  }
  if (given === undefined || given === true || given === 'default') return undefined;
  if (given === false) return bothRandom;
  if (typeof given === 'object') return given;
  const iterations = /^pissa_niter_(\d{1,3})$/.exec(given)?.[1];
  if (iterations !== undefined) return fastPissa(Number(iterations));
  const make = named.get(given) ?? brought.get(given);
  if (make) return make();
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `initLoraWeights (--init) "${given}" is not known.${didYouMean(given, [...initializerNames, ...brought.keys()])} There are ${[...initializerNames, ...brought.keys()].join(', ')}, with a whole number for N.`,
  );
}

/** Options of {@link loraGa}. */
export interface LoraGaOptions {
  /** B is multiplied by ⁴√out / √gamma; 16 by default. */
  readonly gamma?: number;
}

const requireKnown = knownOptions<LoraGaOptions>('loraGa', { gamma: true });

/** LoRA-GA (arXiv 2407.05000): A from the gradient's first r right singular vectors, B from the next r left ones. */
export function loraGa(options: LoraGaOptions = {}): GradientInitializer {
  requireKnown(options);
  const { gamma = 16 } = options;
  return {
    name: 'lora_ga',
    needs: 'gradient',
    refuses: (site) => refuseRankAbove(site, 2 * site.r),
    init: ({ r, out, width }, gradient, random) => {
      const projection = Math.min(4 * r, out, width);
      const { U, S, V } = randomSvd(gradient, { rank: 2 * r, width: projection, iterations: 4, random });
      const length = out ** 0.25 / Math.sqrt(gamma);
      return {
        A: transpose(sliceColumns(V, 0, r)),
        B: scaleColumns(
          sliceColumns(U, r, 2 * r),
          S.subarray(r, 2 * r).map((value) => length * value),
        ),
        residual: 'subtract',
      };
    },
  };
}
