// A press on a button with `data-pick` is the event 'picked', with its place.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-pick]');
  if (button) trigger('picked', { place: Number(button.dataset.pick) });
});
