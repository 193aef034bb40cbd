/** @file THE table of layer finders. */

import { conv, convInteger } from './conv.ts';
import { embedding } from './embedding.ts';
import type { LayerFinder } from './layer.ts';
import { einsum, gemm, matMul, matMulBnb4, matMulFromLeft, matMulInteger, matMulNBits } from './linear.ts';
import { chosenParameter, stackedParameter } from './parameter.ts';

/** The finders, in order of precedence. `rankOf` returns the rank of a value, if known. */
export function layerFinders(rankOf: (value: string) => number | undefined): readonly LayerFinder[] {
  return [
    matMul, gemm, conv, embedding, matMulNBits, matMulBnb4, matMulInteger, convInteger, einsum, stackedParameter, chosenParameter, matMulFromLeft(rankOf),
  ]; // prettier-ignore
}
