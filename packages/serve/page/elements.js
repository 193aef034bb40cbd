// What both the parts of the page are made with.
'use strict';
/* oxlint-disable no-unused-vars -- used by the scripts behind it, all of which are one on the page */

// Texts are added as texts: whatever a name holds, it is no element.
const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.map((each) => (each instanceof Node ? each : String(each))));
  return made;
};

const count = (value) => value.toLocaleString('en');
const milliseconds = (value) => (value < 10 ? value.toFixed(1) : count(Math.round(value)));

// The key that was given, as a header.
const KEY = 'onnx-lora-key';
const keyHeader = () => {
  const key = sessionStorage.getItem(KEY);
  return key === null ? {} : { authorization: `Bearer ${key}` };
};
