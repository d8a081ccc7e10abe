// A new answer comes into view, wherever the button that asked for it lies.
watch('value', () => {
  if (props.value) element.scrollIntoView({ block: 'nearest' });
});
