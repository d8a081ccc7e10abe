// A place for one file: dropped or chosen, sent to the server, its token the component's value; then comes 'dropped'.
// `element`, `trigger` and `props` are Gradio's. What goes wrong here is said here; what the file is like, in Python.
// The token is no part of the event: of events that wait, Gradio keeps only that there was one.
const root = window.gradio_config.root;
const said = element.querySelector('.said');
const bar = element.querySelector('progress');
const input = element.querySelector('input');
const chosen = element.querySelector('.chosen');
let sending = null;

const say = (words) => { said.textContent = words; };
const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString('en', { maximumFractionDigits: 1 })} MB`;

function forget() {
  if (props.value) fetch(`${root}/upload/${props.value}`, { method: 'DELETE', keepalive: true });
  props.value = '';
}

function settle(token, name) {
  props.value = token;
  chosen.textContent = token ? name : '';
  bar.hidden = true;
  sending = null;
  trigger('dropped');
}

function refuse(words) {
  say(words);
  settle('', '');
}

function take(file) {
  if (sending) sending.abort();
  forget();
  if (file.size > props.limit_bytes) {
    refuse(`${file.name} has ${megabytes(file.size)}. This page takes files of up to ${megabytes(props.limit_bytes)}.`);
    return;
  }
  say('');
  chosen.textContent = `Sending ${file.name}`;
  bar.value = 0;
  bar.hidden = false;
  const request = new XMLHttpRequest();
  request.responseType = 'json';
  sending = request;
  request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
  request.onload = () => {
    const answer = request.response || {};
    if (request.status === 200) settle(answer.token, file.name);
    else refuse(`${file.name}: ${answer.error ? answer.error.message : 'the server did not take it'}.`);
  };
  request.onerror = () => refuse(`${file.name} could not be sent: the server does not answer.`);
  request.open('POST', `${root}/upload`);
  request.setRequestHeader('X-File-Name', encodeURIComponent(file.name));
  request.send(file);
}

input.addEventListener('change', () => {
  if (input.files.length) take(input.files[0]);
  input.value = '';
});
element.addEventListener('dragover', (event) => {
  event.preventDefault();
  element.firstElementChild.classList.add('over');
});
element.addEventListener('dragleave', () => element.firstElementChild.classList.remove('over'));
element.addEventListener('drop', (event) => {
  event.preventDefault();
  element.firstElementChild.classList.remove('over');
  if (event.dataTransfer.files.length === 1) take(event.dataTransfer.files[0]);
  else refuse('One file at a time, please.');
});
window.addEventListener('pagehide', forget);
