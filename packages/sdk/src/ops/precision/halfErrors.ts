/** @file How far products in float16 are off: each is computed beside the one in float32, from the same values. */

import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { opsetOf } from '../inferGraph.ts';
import { HalfProducts } from './halfProducts.ts';
import { chosenProducts, type HalfPrecision, type IsBackward, productName } from './precision.ts';
import type { ErrorModel } from './productErrors.ts';

/** The model with the errors of its products among its outputs; they are NaN or infinite where one overflows. */
export function withHalfErrors(model: ModelProto, precision: HalfPrecision, isBackward: IsBackward): ErrorModel {
  const emitter = new HalfProducts(model.graph ?? {}, opsetOf(model));
  const { g } = emitter;
  const norm = (value: Value): Value => g.emit('ReduceL2', [value], { keepdims: 0 });
  const errors = [...chosenProducts(model, precision, isBackward)].map(([node, product]) => {
    const output = `${node.output![0]}/alone`;
    // Without a bias, beside which an error would look small.
    const alone = { ...node, name: `${node.name}/alone`, input: node.input!.slice(0, 2), output: [output] };
    g.nodes.push(alone);
    const exact: Value = { name: output, type: 'float32' };
    const difference = norm(g.Sub(emitter.emit(product, alone), exact));
    // Of nothing but zeros there is no error.
    const error = g.Div(difference, g.Max(norm(exact), g.scalar(1e-30)));
    return { name: productName(product, isBackward(node)), weight: product.weight.name!, output: error.name };
  });
  const { node = [], initializer = [], output = [] } = model.graph ?? {};
  const graph = {
    ...model.graph,
    node: [...node, ...g.nodes],
    initializer: [...initializer, ...g.initializers],
    output: [...output, ...errors.map(({ output: name }) => ({ name }))],
  };
  return { model: { ...model, graph }, errors };
}
