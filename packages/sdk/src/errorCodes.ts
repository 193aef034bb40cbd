/** @file Error codes with causes and remedies, for `onnx-lora explain` and the reference page of errors. */

/** The kind of an error. The command line exits with 2 for all of them. */
export type ErrorCode =
  | 'FILE_NOT_FOUND'
  | 'FILE_INVALID'
  | 'MODEL_INVALID'
  | 'MODEL_UNSUPPORTED'
  | 'TARGET_NOT_FOUND'
  | 'ADAPTER_INVALID'
  | 'ADAPTER_MISMATCH'
  | 'CONFIG_INVALID'
  | 'DATA_INVALID'
  | 'INPUT_INVALID'
  | 'NO_GRADIENT'
  | 'LOSS_NOT_FINITE'
  | 'OUT_OF_MEMORY'
  | 'PROVIDER_UNAVAILABLE'
  | 'RUNTIME_FAILED'
  | 'CANCELLED'
  | 'OVERLOADED'
  | 'PLUGIN_INVALID';

/** Explanation of an error code, in Markdown. */
export interface ErrorCodeInfo {
  /** One sentence. */
  readonly summary: string;
  /** Causes, the most common first. */
  readonly causes: readonly string[];
  /** Remedies. */
  readonly remedies: readonly string[];
}

/** All error codes. A code without an entry does not compile. */
export const errorCodes: Readonly<Record<ErrorCode, ErrorCodeInfo>> = {
  FILE_NOT_FOUND: {
    summary: 'A file or folder that was named, or that another file names, is not there.',
    causes: [
      'A path is mistyped, or relative to another folder: paths count from the folder that the command runs in.',
      'A model folder lacks a file: no `.onnx` in it, no tokenizer, or not all parts of a model of several files.',
      'A name that is not a path was looked up on the hub, which has no such model or cannot be reached.',
      '`--resume` names a folder that holds no run, or no checkpoint yet.',
    ],
    remedies: [
      'Compare the path in the message with the files.',
      'Copy what is missing from where the model or adapter was published: all of its files, not one alone.',
      'For a private model on the hub, set `HF_TOKEN`.',
    ],
  },
  FILE_INVALID: {
    summary: 'A file is there, but cannot be read as what it should be, or cannot be written.',
    causes: [
      'A download or copy was cut short, so that weights lie beyond the end of the file.',
      'A Git LFS pointer stands in the place of the weights.',
      'A PyTorch pickle was given as a file of weights. Pickles can run code and are never opened.',
      'A checkpoint was saved by a run with another model, other data or other settings.',
      'The place to write to is a file where a folder should be, the base model itself, read-only, or full.',
    ],
    remedies: [
      'Copy or download the file again; for a Git LFS pointer, run `git lfs pull` in its folder.',
      'Save a pickle as `.safetensors` in Python, from a source that you trust.',
      'Resume with the model, data and settings of the run that saved the checkpoint, or from an earlier checkpoint.',
      'Name another place to write to.',
    ],
  },
  MODEL_INVALID: {
    summary: 'A file is no readable ONNX model.',
    causes: [
      'The file is truncated, is something other than ONNX, or is a Git LFS pointer.',
      'Shapes and data of a tensor disagree, or a node lacks what every node has: the file is damaged.',
      'Functions of the model call each other without end, or unfold into more nodes than any model needs.',
      'A weight holds values that are not finite, and an initialisation is to be computed from it.',
    ],
    remedies: [
      'Download the model again and compare its size with that of the original.',
      'Check the file with `onnx.checker.check_model` in Python, and export the model again if it fails there too.',
    ],
  },
  MODEL_UNSUPPORTED: {
    summary: 'The model is valid, but does not support the request.',
    causes: [
      'The task needs an input or output that the model does not have, such as logits of its head.',
      'A gradient or loss needs a shape that the graph leaves open.',
      'Files of one model do not fit together: other operator versions, other precisions, or inputs that nothing feeds.',
      'A head cannot be exchanged, or a layer cannot take the adapter, because of how the export wrote it.',
    ],
    remedies: [
      'Export the model with the head, the outputs or the sizes that the message names.',
      'Choose a task that fits: `onnx-lora inspect` shows inputs, outputs and the usual tasks.',
      'Name the adapter that brings the head (`--adapter`).',
    ],
  },
  TARGET_NOT_FOUND: {
    summary: 'A name of modules to adapt, or of tokens, parameters or parameter groups, matches nothing in the model.',
    causes: [
      'The name is mistyped, or belongs to another model.',
      'The model was exported with the other generation of transformers, which calls its modules otherwise.',
      'The module is there, but of a kind that cannot be adapted, or the export has fused it with others.',
      'A pattern (`re:`) must match the whole path, and matches a part only.',
    ],
    remedies: [
      'List the modules with `onnx-lora inspect`, and mark what would match with `onnx-lora inspect --targets`.',
      'Leave `--targets` out to take the usual targets of the model family, or give `all-linear`.',
    ],
  },
  ADAPTER_INVALID: {
    summary: 'A file or folder is no adapter, or one that cannot be read.',
    causes: [
      'The folder holds no `adapter_config.json`, or no `adapter_model.safetensors`.',
      'The weights are a pickle (`adapter_model.bin`), which is never opened.',
      'Its config contradicts its tensors: the message names the key and the module.',
      'The adapter is of another kind than LoRA and no plugin brings its tuner, or its config is not valid.',
      'A tensor is missing or there twice, or two factors do not fit together.',
    ],
    remedies: [
      'Name the folder that PEFT or onnx-lora has saved, or the folder of a training run, with all of its files.',
      'Save the adapter again in PEFT, with `safe_serialization=True`; another kind as LoRA, with `save_as_lora`; or load a plugin that brings its tuner.',
    ],
  },
  ADAPTER_MISMATCH: {
    summary: 'The adapter is valid, but does not belong to this model, or adapters do not belong together.',
    causes: [
      'The adapter was trained on another model: none of its modules is there, or shapes differ.',
      'The adapter says that it was trained on other weights, such as those of an earlier release or of a quantised copy.',
      'Module names are those of the other generation of transformers, and the model was opened without its family.',
      'The initialisation of the adapter changed the base (PiSSA, OLoRA, CorDA, LoRA-GA), and this is the unchanged one.',
      'A session was made without a place for this adapter.',
    ],
    remedies: [
      'Use the base model that the adapter was trained on.',
      'If you know that the weights are the same, allow the mismatch: `--allow-base-mismatch`, or `allowBaseMismatch`.',
      'Rename the modules (`onnx-lora convert --names`), or make the adapter plain LoRA (`onnx-lora convert --plain-from`).',
      'Give every adapter to `model.session`, or reserve places for those that come later.',
    ],
  },
  CONFIG_INVALID: {
    summary: 'A setting, an option or a call is invalid: unknown, missing, out of range, or at odds with another.',
    causes: [
      'A flag or option has a value of the wrong kind or out of its range.',
      'A function was given an option that it does not have: misspelt, or one of another function.',
      'A key of a YAML file is unknown or there twice, or the file is not valid YAML.',
      'Something that is needed is not named, such as the model, the data or the place to write to.',
      'Two settings exclude each other, or a setting belongs to another task or method.',
    ],
    remedies: [
      'The message names the setting and what it takes; `onnx-lora COMMAND --help` lists all flags of a command.',
      '`onnx-lora tasks TASK` lists the settings that a task has of its own (`--set`).',
      'An editor that knows the schema of YAML settings marks such mistakes while you type: `onnx-lora schema`.',
    ],
  },
  DATA_INVALID: {
    summary: 'The data, or a file of it, is not as the task needs it.',
    causes: [
      'A file is damaged, or of a format that is not read.',
      'A line of a table lacks a column, or holds a value that is no label, number or path of the kind that is expected.',
      'The classes of the data are not those of the model.',
      'A class is empty, a split holds nothing, or too little is left to hold out.',
    ],
    remedies: [
      'The message names the file, and the line where there is one: correct it or take it out.',
      'To pass over files that cannot be read, train with `--on-bad-sample skip`.',
      'To teach a model other classes than its own, give it a new head: `--set head=new`.',
    ],
  },
  INPUT_INVALID: {
    summary: 'A function got an invalid argument.',
    causes: [
      'A tensor has the wrong type, shape or number of values, or an input of the model is not fed.',
      'A name is unknown: of an adapter in the session, of a part of the model, of a value in its graph.',
      'Things are combined that cannot be, such as adapters that were trained in full with different values.',
    ],
    remedies: [
      'Compare the argument with the expected value in the message; `model.inputs` has types and shapes.',
      'Feeds made by a preprocessor or tokenizer of the model fit it.',
    ],
  },
  NO_GRADIENT: {
    summary: 'Training needs the gradient of an operator without one.',
    causes: [
      'An operator without a gradient rule lies between an adapted layer and the loss.',
      'The rule does not cover this form of the operator, such as a mode, a packed weight, or sizes that the graph does not know.',
      'The model was exported in training mode, so that batch normalisation or dropout is active.',
      'The loss depends on nothing that is trained: it reads other outputs, or stands behind ArgMax, Round or a comparison.',
      'The loss does not depend on a module whose gradient is to decide its first values.',
    ],
    remedies: [
      'Adapt only layers that lie after the operator, where `--targets` or `--layers-to-transform` can say so.',
      'Export the model in evaluation mode (`model.eval()`), and without fused operators.',
      'Bring a rule in a plugin, as `operators` of `definePlugin`; for the SDK itself, `CONTRIBUTING.md` shows how.',
    ],
  },
  LOSS_NOT_FINITE: {
    summary: 'The loss, a gradient or a score is infinite or not a number.',
    causes: [
      'The learning rate is too high, and training has diverged.',
      'The data holds values that are not numbers, or labels that make the loss infinite.',
      'Values of a float16 model go beyond what 16 bits can hold.',
      'An adapter that has diverged is evaluated or served.',
    ],
    remedies: [
      'Lower `--lr`, warm it up (`--warmup-steps`), or bound the gradients (`--clip-norm`).',
      'To continue past single bad batches: `--on-bad-loss skip`, or `backoff`, which halves the learning rate as well.',
      'Look at the examples that the message names.',
    ],
  },
  OUT_OF_MEMORY: {
    summary: 'Memory has run out while training.',
    causes: [
      'A step keeps the values between the layers of the whole batch for its gradients.',
      'Examples are large or long.',
      'Other programs, or other sessions in this process, hold memory.',
    ],
    remedies: [
      'Lower `--batch-size`, and raise `--accumulation-steps` to make up for it.',
      'Set `--memory`: what a step may keep, in megabytes; the rest is computed again.',
      'Adapt later layers only, so that less lies between them and the loss.',
    ],
  },
  PROVIDER_UNAVAILABLE: {
    summary: 'The requested execution provider cannot be used.',
    causes: [
      'The name is mistyped, or onnxruntime-node has no such provider for this operating system and processor.',
      "CUDA's libraries, which onnxruntime-node downloads on request only, are not installed.",
      'The machine has no such device, or its driver does not load.',
      'The provider computes something else than the CPU (`verify`), or leaves operators to the CPU (`strict`).',
    ],
    remedies: [
      'Take `--provider auto`, which uses the best one that works, or `cpu`.',
      'Install what the message names: `cuda` needs its library, CUDA 12 and cuDNN 9; `dml` Windows; `coreml` macOS; `webgpu` a driver for Vulkan, Direct3D 12 or Metal.',
    ],
  },
  RUNTIME_FAILED: {
    summary: 'ONNX Runtime, or another engine, has failed.',
    causes: [
      'The model holds an operator that this version of ONNX Runtime does not know, or the graph is not valid.',
      'Shapes do not fit inside the graph, such as an image of another size than the model was exported for.',
      'A session was used after its release, or its worker thread has ended, for example for want of memory.',
    ],
    remedies: [
      'Read the reason in the message, which is that of the engine itself.',
      'Try the same with `--provider cpu`, to see whether the provider is to blame.',
      'Update onnxruntime-node, or export the model with an earlier opset.',
    ],
  },
  CANCELLED: {
    summary: 'An operation was cancelled, or requested after the end of its run.',
    causes: [
      'The `AbortSignal` that was passed to a run, a training or a transcription was aborted while it waited or worked.',
      'A training run was used after its last step.',
    ],
    remedies: [
      'Nothing, where the program cancelled it itself; otherwise look for who aborts the signal, such as a timeout.',
    ],
  },
  OVERLOADED: {
    summary: 'A session has more runs waiting than it may have.',
    causes: ['Requests come faster than the session computes them, and as many wait as `maxQueue` allows.'],
    remedies: [
      'Answer the request with a status such as 503 and have it come again later.',
      'Raise `maxQueue` for short bursts; for a lasting load put requests together in batches, or make more sessions.',
    ],
  },
  PLUGIN_INVALID: {
    summary: 'A plugin, task, loss or gradient rule breaks its contract, or plugins do not go together.',
    causes: [
      'A plugin was made for another version of the contract, or does not have what `definePlugin` asks for.',
      'Two plugins have the same name, or register two things under one name.',
      'A plugin needs what no plugin that is loaded provides, or needs go round in a circle.',
      'A function of a task fails with an error that says no remedy; the message names the task and the function.',
      'A loss is no float scalar, or combines shapes that do not fit.',
      'A gradient rule gives a gradient of another shape than its input.',
    ],
    remedies: [
      'Load the plugin that is needed, or only one of two that collide.',
      'Install a version of the plugin for this version of the SDK.',
      'Correct the plugin, task, loss or rule that the message names, or tell its author.',
    ],
  },
};
