/** @file What is known of a parameter that is trained in full. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Site, WeightLayout } from '../../match/sites.ts';
import type { StoredWeight } from '../../match/weights/index.ts';

/** A parameter that is replaced as a whole (`modules_to_save`, trained biases). */
export interface TrainedParameter {
  /** torch's name of the parameter, such as `classifier.weight`. */
  readonly name: string;
  /** torch's path of the module that has the parameter. */
  readonly modulePath: string;
  /** PEFT's name of the tensor, where it is not the parameter's own: the bias of an adapted layer has `base_layer` in it. */
  readonly savedAs?: string;
  /** How its matrix lies in the graph, compared with torch. */
  readonly layout: WeightLayout;
  /** Its shape in torch, where the graph's has ones more than that. */
  readonly torchDims?: readonly number[];
  /** The base's values, and how the graph keeps them. */
  readonly stored: StoredWeight;
  /** The module's own nodes: they read the trained parameter, while other readers of a shared one keep the base's. */
  readonly readers: readonly ParameterReader[];
  /** The layer that it belongs to, where that can be adapted. */
  readonly site?: Site;
  /** Whether adapters may bring any number of outputs, as of a head for labels of their own. */
  readonly isOpen?: boolean;
  /** Whether the model has no values of its own for it, as of a head that an adapter attaches. */
  readonly isNew?: boolean;
}

/** A node that reads a parameter, and the name by which it does. */
export interface ParameterReader {
  /** The node. */
  readonly node: NodeProto;
  /** The name among the node's inputs. */
  readonly name: string;
  /** The nodes between the stored tensors and the name; those of the parameter's `stored` where left out. */
  readonly chain?: readonly NodeProto[];
}
