#include "runtime/training/image_views.h"

#include "runtime/training/image_tensor.h"

namespace gannet {

namespace {

class ImageViews final : public ViewSource {
 public:
  ImageViews(std::shared_ptr<const ImageRows> labelled, std::shared_ptr<const ImageRows> others,
             ImageViewOptions options, PixelWriter writer)
      : labelled_(std::move(labelled)),
        others_(std::move(others)),
        options_(std::move(options)),
        writer_(std::move(writer)),
        threads_(options_.threads) {}

  Result<BatchColumns> read(std::span<const WantedRow> wanted, int64_t batch) override {
    const ImageOptions& options = options_.image;
    const bool complete = labelled_->store->is_complete() && others_->store->is_complete();
    const auto count = static_cast<int64_t>(wanted.size());
    const int64_t cost = count * options.height * options.width *
                         (complete ? kNanosecondsToCopyPixel : kNanosecondsToDecodePixel);
    const std::vector<Image> images = TRY(make_images(
        count, cost, threads_, [&](int64_t i) { return picture(wanted[static_cast<size_t>(i)], batch, i); }));
    BatchColumns columns;
    columns.push_back(TRY(images_tensor(images, options, writer_, threads_)));
    return columns;
  }

 private:
  const Augmentation& augmentation(View view) const {
    return view == View::kLabelled ? options_.labelled
           : view == View::kWeak   ? options_.weak
                                   : options_.strong;
  }

  Result<Image> picture(const WantedRow& wanted, int64_t batch, int64_t place) const {
    const ImageRows& rows = wanted.view == View::kLabelled ? *labelled_ : *others_;
    const auto kept = TRY(rows.store->get(rows.pictures[static_cast<size_t>(wanted.row)]));
    const ImageOptions& options = options_.image;
    const Augmentation& changes = augmentation(wanted.view);
    const bool fits = kept->height == options.height && kept->width == options.width;
    Image image = fits || changes.resizes() ? *kept : TRY(fit_image(*kept, options));
    Random random = augment_random(options_.seed, batch, place);
    changes.apply(image, {options.height, options.width}, random);
    if (image.height == options.height && image.width == options.width) return image;
    return fit_image(image, options);
  }

  std::shared_ptr<const ImageRows> labelled_, others_;
  ImageViewOptions options_;
  PixelWriter writer_;
  Threads threads_;
};

}  // namespace

Result<std::unique_ptr<ViewSource>> make_image_views(std::shared_ptr<const ImageRows> labelled,
                                                     std::shared_ptr<const ImageRows> others,
                                                     ImageViewOptions options) {
  PixelWriter writer = TRY(PixelWriter::make(options.image, options.image.channels));
  return std::unique_ptr<ViewSource>(std::make_unique<ImageViews>(std::move(labelled), std::move(others),
                                                                  std::move(options), std::move(writer)));
}

}  // namespace gannet
