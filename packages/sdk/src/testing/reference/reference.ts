/** @file The reference: outputs, loss and gradients of an adapted model without injection and without autodiff. */

import { withInner } from '../../graph/uniqueNames.ts';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import type { Model } from '../../model/model.ts';
import type { PlannedAdapter } from '../../model/planning/loraOptions.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { CaseLoss } from '../conformance/case.ts';
import { modelSteps, slopes } from '../gradients/finiteDifferences.ts';
import { port } from '../graphs.ts';
import { type AdaptedWeight, adaptedWeights, type WideTensors } from './adaptedWeights.ts';
import { referenceLoss } from './losses.ts';
import { floatTensor, type Precision, type WideSession, wideSession } from './wideSession.ts';

/** What a {@link Reference} is made of. */
export interface ReferenceRequest extends Pick<PlannedAdapter, 'plan' | 'config'> {
  readonly model: Model;
  readonly feeds: Feeds;
  readonly labels: Tensor;
  readonly loss: CaseLoss;
}

/**
 * The base model with its adapted weights as inputs, computed in double precision where ONNX Runtime can: the weights are
 * edited in JavaScript, the loss is computed there, and gradients are central differences. None of it is shared with what
 * trains adapters.
 */
export class Reference {
  readonly #request: ReferenceRequest;
  readonly #weights: readonly AdaptedWeight[];
  readonly #wide: WideSession;

  private constructor(request: ReferenceRequest, weights: readonly AdaptedWeight[], wide: WideSession) {
    this.#request = request;
    this.#weights = weights;
    this.#wide = wide;
  }

  /** @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED` for what it does not know */
  static async of(request: ReferenceRequest): Promise<Reference> {
    const weights = adaptedWeights(request);
    const { model } = request.model.onnx;
    const graph = withWeightsAsInputs(model.graph, weights);
    const fed = Object.fromEntries(weights.map((each) => [inputOf(each), floatTensor(new Float32Array(0), each.dims, 'float32')])); // prettier-ignore
    const names = new Set(weights.map(inputOf));
    const wide = await wideSession({ ...model, graph }, names, { ...request.feeds, ...fed }, request.model.name);
    return new Reference(request, weights, wide);
  }

  /** What it computes in. */
  get precision(): Precision {
    return this.#wide.precision;
  }

  /** Outputs of the model with the adapter. */
  outputs(tensors: WideTensors): Promise<Record<string, Tensor>> {
    return this.#run(new Map(this.#weights.map((each) => [each, this.#fed(each, tensors)])));
  }

  /** The loss of these outputs. */
  lossOf(outputs: Readonly<Record<string, Tensor>>): number {
    const { loss, labels } = this.#request;
    return referenceLoss(loss, outputs[loss.output]!, labels);
  }

  /** Gradients of the loss by every tensor of the adapter. */
  async gradients(tensors: WideTensors): Promise<Map<string, Float64Array>> {
    const fed = new Map(this.#weights.map((each) => [each, this.#fed(each, tensors)]));
    const found = new Map<string, Float64Array>();
    for (const [name, { data }] of tensors) {
      const changed = this.#weights.filter(({ from }) => from.includes(name));
      const all = Array.from(data.keys());
      const gradient = await slopes(data, all, modelSteps[this.precision], async () => {
        const moved = new Map([...fed, ...changed.map((each) => [each, this.#fed(each, tensors)] as const)]);
        return this.lossOf(await this.#run(moved));
      });
      found.set(name, gradient);
    }
    return found;
  }

  /** Weights after merging, by torch's names and in torch's layout. */
  merged(tensors: WideTensors): Map<string, Tensor> {
    return new Map(
      this.#weights.map((each) => [each.name, floatTensor(each.valueOf(tensors), each.torchDims, 'float32')]),
    );
  }

  /** Frees the session. */
  release(): Promise<void> {
    return this.#wide.session.release();
  }

  #fed(weight: AdaptedWeight, tensors: WideTensors): Tensor {
    return floatTensor(weight.toGraph(weight.valueOf(tensors)), weight.dims, this.precision);
  }

  #run(weights: ReadonlyMap<AdaptedWeight, Tensor>): Promise<Record<string, Tensor>> {
    const fed = Object.fromEntries([...weights].map(([weight, tensor]) => [inputOf(weight), tensor]));
    return this.#wide.session.run({ ...this.#request.feeds, ...fed });
  }
}

function inputOf({ name }: AdaptedWeight): string {
  return `reference/${name}`;
}

/** The graph with an input in place of each weight, for the module's own nodes. */
function withWeightsAsInputs(graph: GraphProto, weights: readonly AdaptedWeight[]): GraphProto {
  const renames = new Map<NodeProto, Map<string, string>>();
  for (const weight of weights) {
    for (const { node, name } of weight.readers)
      renames.set(node, new Map([...(renames.get(node) ?? []), [name, inputOf(weight)]]));
  }
  const rewrite = (each: GraphProto): GraphProto => ({
    ...each,
    node: (each.node ?? []).map((node) => {
      const names = renames.get(node);
      const inner = withInner(node, rewrite);
      return names ? { ...inner, input: (node.input ?? []).map((name) => names.get(name) ?? name) } : inner;
    }),
  });
  const inputs = weights.map((each) => port({ name: inputOf(each), type: 'float32', shape: each.dims }));
  return { ...rewrite(graph), input: [...(graph.input ?? []), ...inputs] };
}
