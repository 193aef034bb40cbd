/** @file Unique names for the functions of several models. */

import { readBytes } from '../../graph/bytes.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import type { FunctionProto, GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { functionKey } from '../functions/functionCall.ts';

/** Collects functions part by part. */
export class FunctionNames {
  readonly all: FunctionProto[] = [];
  readonly #known = new Map<string, FunctionProto>();

  /** The part, with functions renamed whose name is known with other content. */
  renamed(model: ModelProto & { readonly graph: GraphProto }, part: string): { readonly graph: GraphProto } {
    const { functions = [], graph } = model;
    const names = new Map<string, string>();
    const added: [string, FunctionProto][] = [];
    for (const each of functions) {
      const key = functionKey(each);
      const before = this.#known.get(key);
      if (before && isSame(before, each)) continue;
      if (!before) {
        added.push([key, each]);
        continue;
      }
      let name = `${each.name}_${part}`;
      for (let number = 1; this.#known.has(functionKey({ ...each, name })); number++)
        name = `${each.name}_${part}_${number}`;
      names.set(key, name);
      added.push([functionKey({ ...each, name }), { ...each, name }]);
    }
    const renamed = (node: NodeProto): NodeProto => {
      const name = names.get(functionKey({ ...node, name: node.opType ?? '' }));
      return withInner(name === undefined ? node : { ...node, opType: name }, inGraph);
    };
    const inGraph = (each: GraphProto): GraphProto => ({ ...each, node: (each.node ?? []).map(renamed) });
    for (const [key, each] of added) {
      const own = names.size > 0 ? { ...each, node: (each.node ?? []).map(renamed) } : each;
      this.#known.set(key, own);
      this.all.push(own);
    }
    return { graph: names.size > 0 ? inGraph(graph) : graph };
  }
}

function isSame(a: FunctionProto, b: FunctionProto): boolean {
  const [left, right] = [a, b].map((each) => Buffer.concat(encodeModel({ functions: [each] }).map(readBytes)));
  return left!.equals(right!);
}
