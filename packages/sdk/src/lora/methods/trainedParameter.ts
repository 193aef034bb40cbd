/** @file Parameters that are trained in full, and the nodes that read them. */

import type { NodeProto } from '../../graph/proto.ts';
import type { Site, WeightLayout } from '../../match/sites.ts';
import type { StoredWeight } from '../../match/weights/index.ts';

/** A parameter that is replaced as a whole (`modules_to_save`, trained biases). */
export interface TrainedParameter {
  /** torch's name, such as `classifier.weight`. */
  readonly name: string;
  /** torch's path of its module. */
  readonly modulePath: string;
  /** PEFT's tensor name, if different: the bias of an adapted layer includes `base_layer`. */
  readonly savedAs?: string;
  /** Layout of its matrix in the graph relative to torch. */
  readonly layout: WeightLayout;
  /** Its shape in torch, if the graph's has extra dimensions of 1. */
  readonly torchDims?: readonly number[];
  /** The base's values and their storage in the graph. */
  readonly stored: StoredWeight;
  /** The module's own nodes, which read the trained values; other readers of a shared parameter keep the base's. */
  readonly readers: readonly ParameterReader[];
  /** Its layer, if it can be adapted. */
  readonly site?: Site;
  /** Whether adapters may have any number of outputs, as with heads for their own labels. */
  readonly isOpen?: boolean;
  /** Whether the model has no values for it, as with a head that an adapter adds. */
  readonly isNew?: boolean;
}

/** A node that reads a parameter. */
export interface ParameterReader {
  /** The node. */
  readonly node: NodeProto;
  /** The name of the node's input. */
  readonly name: string;
  /** Nodes between the stored tensor and the input; those of the parameter's `stored` by default. */
  readonly chain?: readonly NodeProto[];
}
